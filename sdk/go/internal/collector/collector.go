// Package collector keeps Go's garbage collector from running all the time: the heap of a plugin is small, and its garbage is not.
package collector

import (
	"os"
	"sync"
)

const ballastBytes = 16 << 20

// ballast is never written to, so that it takes addresses and no memory.
//
//lint:ignore U1000 it is there to be there
var ballast []byte

// Rest lets the collector wait until there are 16 MiB more of garbage, unless the environment says when it runs (GOGC, GOMEMLIMIT).
var Rest = sync.OnceFunc(func() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		ballast = make([]byte, ballastBytes)
	}
})
