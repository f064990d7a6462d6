//go:build cgo

// Package cabi is the C side of the Nylon ABI: the symbols that a gateway looks up in a library, and its callback. What comes
// and goes means nothing here; package ffi knows.
package cabi

/*
#cgo LDFLAGS: -ldl
#include "abi.h"
*/
import "C"

import (
	"bytes"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/AssetsArt/nylon/sdk/go/internal/collector"
	"github.com/AssetsArt/nylon/sdk/go/internal/ffi"
)

var (
	library  *ffi.Library
	loadMain func()
)

// Serve says who takes what the host sends; load runs before the first configuration is given. For an init function: the host
// cannot call before those are done.
func Serve(to *ffi.Library, load func()) { library, loadMain = to, load }

//export nylonInitialize
func nylonInitialize(config unsafe.Pointer, length C.size_t) {
	widen()
	loadMain()
	library.Initialize(copied(config, uint64(length)))
}

// widen makes room for the host's threads beside the library's own. Each keeps its place among GOMAXPROCS while it is back in
// the host; with none left the runtime takes them away 50,000 times a second, to give them back to the same threads.
var widen = sync.OnceFunc(func() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + hostThreads)
	}
	collector.Rest() // each run takes the host's threads their places
})

const hostThreads = 2

//export nylonShutdown
func nylonShutdown() { library.Shutdown() }

//export nylonRegister
func nylonRegister(sid C.uint32_t, entry unsafe.Pointer, length C.size_t, callback C.data_event_fn) C.uint8_t {
	if library.Register(uint32(sid), unsafe.String((*byte)(entry), int(length)), sender(callback)) {
		return 1
	}
	return 0
}

// host is what calls the host: it gives every session the same callback.
var host atomic.Pointer[struct {
	callback C.data_event_fn
	send     ffi.Send
}]

func sender(callback C.data_event_fn) ffi.Send {
	if known := host.Load(); known != nil && known.callback == callback {
		return known.send
	}
	made := &struct {
		callback C.data_event_fn
		send     ffi.Send
	}{callback, func(sid, method uint32, payload []byte) {
		// The callback copies before it returns, so that it may read Go's own memory.
		C.nylon_call(callback, C.uint32_t(sid), C.uint32_t(method), unsafe.Pointer(unsafe.SliceData(payload)), C.uint64_t(len(payload)))
	}}
	host.Store(made)
	return made.send
}

//export nylonEvent
func nylonEvent(sid C.uint32_t, phase C.uint8_t, method C.uint32_t, payload unsafe.Pointer, length C.uint64_t) {
	library.Event(uint32(sid), uint8(phase), uint32(method), copied(payload, uint64(length)))
}

//export nylonRunPhase
func nylonRunPhase(thread, sid C.uint32_t, phase C.uint8_t) C.uint8_t {
	if library.RunPhase(uint32(thread), uint32(sid), uint8(phase)) {
		return 1
	}
	return 0
}

//export nylonClose
func nylonClose(sid C.uint32_t) { library.Close(uint32(sid)) }

//export nylonPhases
func nylonPhases(sid C.uint32_t) C.uint8_t { return C.uint8_t(library.Phases(uint32(sid))) }

//export nylonExtensions
func nylonExtensions(methods *C.uint32_t, count C.uint32_t) {
	if count == 0 {
		return
	}
	var offered []uint32
	for _, method := range unsafe.Slice(methods, count) {
		offered = append(offered, uint32(method))
	}
	library.Extensions(offered)
}

// copied is what the host lends, which it takes back when the call returns. The C side has turned every pointer to nothing into
// nil: hosts pass small numbers, which must not stand on a Go stack.
func copied(from unsafe.Pointer, length uint64) []byte {
	if from == nil {
		return nil
	}
	return bytes.Clone(unsafe.Slice((*byte)(from), length))
}
