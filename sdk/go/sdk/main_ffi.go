//go:build cgo

package sdk

import (
	"log/slog"
	"regexp"
	"runtime"
	"sync"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/cabi"
)

// mainLimit is how long a main may take to register its entries.
const mainLimit = 10 * time.Second

var mainOnce sync.Once

// loadMain runs func main, which Go does not run in a library, unless the func inits have registered entries. It returns when
// main has registered its own.
func loadMain() {
	if library.Entries() > 0 {
		return
	}
	mainOnce.Do(func() {
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			guarded(slog.Default(), "main", cabi.Main)
		}()
		look := time.NewTicker(time.Millisecond)
		defer look.Stop()
		limit := time.After(mainLimit)
		for {
			select {
			case <-returned:
				return
			case <-started():
				return
			case <-limit:
				slog.Warn("nylon plugin: main registers entries for too long; the gateway goes on without the rest", "limit", mainLimit)
				return
			case <-look.C:
				if mainWaits() {
					return
				}
			}
		}
	})
}

// started is signalled by Start and Run; nil, which never is, before there is a plugin.
func started() <-chan struct{} {
	theNylonPlugin.Lock()
	defer theNylonPlugin.Unlock()
	if theNylonPlugin.plugin == nil {
		return nil
	}
	return theNylonPlugin.plugin.transport.started
}

var (
	idleMain    = regexp.MustCompile(`(?m)^goroutine \d+ \[select \(no cases\)[^\]]*\]:\nmain\.main\(`)
	waitingMain = regexp.MustCompile(`(?m)^goroutine \d+ \[(?:chan receive|select)[^\]]*\]:\nmain\.main\(`)
)

// mainWaits says whether main has come to its `select {}`, or has registered entries and waits for a channel. There is no other
// way to see that: a main that is written for a worker says nothing.
func mainWaits() bool {
	buffer := make([]byte, 1<<20)
	stacks := buffer[:runtime.Stack(buffer, true)]
	return idleMain.Match(stacks) || library.Entries() > 0 && waitingMain.Match(stacks)
}
