package job

import (
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// cpuTime returns the processor time of this process, user and kernel.
func cpuTime() time.Duration {
	var created, exited, kernel, user windows.Filetime
	if windows.GetProcessTimes(windows.CurrentProcess(), &created, &exited, &kernel, &user) != nil {
		return 0
	}
	ticks := func(f windows.Filetime) int64 { return int64(f.HighDateTime)<<32 | int64(f.LowDateTime) } // 100 ns
	return time.Duration(100 * (ticks(kernel) + ticks(user)))
}

// peakRSS returns the largest working set of this process in bytes.
func peakRSS() int64 {
	var c struct { // PROCESS_MEMORY_COUNTERS of psapi.h
		size, pageFaults uint32
		peakWorkingSet   uintptr
		rest             [7]uintptr
	}
	c.size = uint32(unsafe.Sizeof(c))
	get := windows.NewLazySystemDLL("kernel32.dll").NewProc("K32GetProcessMemoryInfo")
	if ok, _, _ := get.Call(uintptr(windows.CurrentProcess()), uintptr(unsafe.Pointer(&c)), uintptr(c.size)); ok == 0 {
		return 0
	}
	return int64(c.peakWorkingSet)
}
