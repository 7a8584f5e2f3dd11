//go:build !unix && !windows

package job

import "time"

func cpuTime() time.Duration { return 0 } // not known here

func peakRSS() int64 { return 0 } // not known here
