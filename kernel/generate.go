package kernel

//go:generate go run -C _asm ./gemm -out ../gemm_amd64.s -stubs ../gemm_amd64.go -pkg kernel
//go:generate go run -C _asm ./vec -out ../vec_amd64.s -stubs ../vec_amd64.go -pkg kernel -table ../vec_table_amd64.go
//go:generate go run -C _asm ./conv -out ../conv_amd64.s -stubs ../conv_amd64.go -pkg kernel
