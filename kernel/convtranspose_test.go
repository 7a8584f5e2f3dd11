package kernel

import (
	"fmt"
	"math"
	"testing"
)

// A transposed convolution adds to every output what each input spreads over its window.
func TestConvTranspose(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for range 100 {
			k := randomConv(r)
			s, h, w := k.s, min(k.h, 8), min(k.w, 8)
			in, out := s.In/s.Groups, s.Out/s.Groups
			var size [2]int
			for i, x := range []int{h, w} {
				s.Pads[i], s.Pads[i+2] = r.IntN(s.Kernel[i]+2), r.IntN(s.Kernel[i])
				size[i] = max(0, s.Stride[i]*(x-1)+s.Dilation[i]*(s.Kernel[i]-1)+1-s.Pads[i]-s.Pads[i+2]+r.IntN(s.Stride[i]))
			}
			oh, ow := size[0], size[1]
			weights := newBuffer(s.In*out*s.Kernel[0]*s.Kernel[1], 1).fill(r, 1).data
			src := newBuffer(k.n*h*w*s.In, 2).fill(r, 1).data
			ep := &Epilogue{Act: []Activation{{}, {Kind: ClipTo, B: float32(math.Inf(1))}, {Kind: HardSwish}}[r.IntN(3)]}
			want := make([]float64, k.n*oh*ow*s.Out)
			if r.IntN(2) == 0 {
				ep.Add = newBuffer(len(want), 1).fill(r, 1).data
			}
			for at, x := range src {
				i, ix, iy, b := at%s.In, at/s.In%w, at/s.In/w%h, at/s.In/w/h
				for o := range out {
					for ky := range s.Kernel[0] {
						for kx := range s.Kernel[1] {
							y, x0 := iy*s.Stride[0]-s.Pads[0]+ky*s.Dilation[0], ix*s.Stride[1]-s.Pads[1]+kx*s.Dilation[1]
							if y >= 0 && x0 >= 0 && y < oh && x0 < ow {
								want[((b*oh+y)*ow+x0)*s.Out+i/in*out+o] += float64(x) * float64(weights[((i*out+o)*s.Kernel[0]+ky)*s.Kernel[1]+kx])
							}
						}
					}
				}
			}
			for i := range want {
				if k.bias != nil {
					want[i] += float64(k.bias[i%s.Out])
				}
				if ep.Add != nil {
					want[i] += float64(ep.Add[i])
				}
				x := []float32{float32(want[i])}
				mapGeneric(ep.Act, x, x)
				want[i] = float64(x[0])
			}
			cv := NewConvTranspose(c, s, weights, k.bias, oh, ow)
			if r.IntN(2) == 0 { // in memory of the caller
				cv = PlanConvTranspose(c, s, oh, ow)
				memory := newBuffer(cv.Memory(), 1)
				cv.Load(c, weights, k.bias, memory.data)
				memory.check(t, "weights")
			}
			dst, scratch := newBuffer(len(want), 3), newBuffer(cv.Scratch(k.n, h, w, oh, ow), 1)
			cv.Run(c, dst.data, src, k.n, h, w, oh, ow, ep, scratch.data)
			dst.check(t, "transposed convolution")
			scratch.check(t, "transposed convolution: scratch")
			checkClose(t, fmt.Sprintf("%+v of %dx%dx%d to %dx%d", s, k.n, h, w, oh, ow), dst.data, want, 1e-5, 2e-4)
		}
	})
}

// What a product gives of each pixel, summed, is what the convolution gives.
func TestOutspread(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, k := range []struct {
			s    ConvShape
			h, w int
		}{
			{ConvShape{In: 50, Out: 20, Kernel: [2]int{5, 5}}, 8, 8},
			{ConvShape{In: 24, Out: 3, Kernel: [2]int{5, 4}, Pads: [4]int{1, 0, 0, 2}}, 6, 7},
			{ConvShape{In: 16, Out: 33, Kernel: [2]int{7, 7}}, 3, 4},
		} {
			s := k.s
			s.Groups, s.Stride, s.Dilation = 1, [2]int{1, 1}, [2]int{1, 1}
			oh, ow := k.h+s.Kernel[0]-1-s.Pads[0]-s.Pads[2], k.w+s.Kernel[1]-1-s.Pads[1]-s.Pads[3]
			cv := PlanConvTranspose(c, s, oh, ow)
			cv.outspread = newOutspread(c, s)
			const n = 3
			weights, src := newBuffer(s.In*s.Out*s.Kernel[0]*s.Kernel[1], 1).fill(r, 1).data, newBuffer(n*k.h*k.w*s.In, 2).fill(r, 1).data
			bias, ep := newBuffer(s.Out, 1).fill(r, 1).data, &Epilogue{Act: Activation{Kind: ClipTo, A: -1, B: 2}}
			ep.Add = newBuffer(n*oh*ow*s.Out, 1).fill(r, 1).data
			results := [2][]float32{}
			for i := range results {
				memory, dst, scratch := newBuffer(cv.Memory(), 1), newBuffer(n*oh*ow*s.Out, 1), newBuffer(cv.Scratch(n, k.h, k.w, oh, ow), 1)
				cv.Load(c, weights, bias, memory.data)
				cv.Run(c, dst.data, src, n, k.h, k.w, oh, ow, ep, scratch.data)
				for _, b := range []buffer{memory, dst, scratch} {
					b.check(t, "outspread")
				}
				results[i] = dst.data
				cv.outspread = nil
			}
			want := make([]float64, len(results[1]))
			for i, x := range results[1] {
				want[i] = float64(x)
			}
			checkClose(t, fmt.Sprintf("%+v", s), results[0], want, 1e-5, 2e-4)
		}
	})
}
