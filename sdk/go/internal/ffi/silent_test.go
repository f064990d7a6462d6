package ffi

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// lines is a log of which each line is sent.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// TestACallbackThatEndsNothingIsReported: the host only knows that the deadline is over.
func TestACallbackThatEndsNothingIsReported(t *testing.T) {
	log := make(lines, 16)
	h := newHost()
	h.library.Logger = slog.New(slog.NewTextHandler(log, nil))
	h.open(t, 1, func(session.Port, *session.Run) {})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	select {
	case line := <-log:
		if !strings.Contains(line, "nothing was called") || !strings.Contains(line, "entry=e phase=1 session=ffi-1") {
			t.Error(line)
		}
	case <-time.After(10 * silentAfter):
		t.Error("nothing was reported")
	}
}

// TestAPhaseThatEndsOrLastsIsNotReported: by a goroutine, a stream, or the end of the session.
func TestAPhaseThatEndsOrLastsIsNotReported(t *testing.T) {
	for name, run := range map[string]func(port session.Port, run *session.Run){
		"over":   func(port session.Port, run *session.Run) { _ = port.Finish(run, wire.Next) },
		"stream": func(port session.Port, run *session.Run) { _, _ = port.OpenStream(run) },
	} {
		h := newHost()
		h.open(t, 1, func(port session.Port, r *session.Run) {
			run(port, r)
			if port.(*live).unended(r) {
				t.Error(name)
			}
		})
		h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
		<-h.came
	}
	h, done := newHost(), make(chan bool)
	h.open(t, 1, func(port session.Port, r *session.Run) {
		h.library.Close(1)
		done <- port.(*live).unended(r)
	})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	if <-done {
		t.Error("the session is over")
	}
}

// TestAStreamLeavesFramingToAHostThatDoesIt: it would log a change of what belongs to it as the plugin's mistake.
func TestAStreamLeavesFramingToAHostThatDoesIt(t *testing.T) {
	for _, original := range []bool{true, false} {
		h := newHost()
		if !original {
			h.library.Extensions([]uint32{failPhase})
		}
		h.open(t, 1, func(port session.Port, run *session.Run) { _, _ = port.OpenStream(run) })
		h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
		framed := false
		for method := range h.came {
			framed = framed || method == uint32(wire.OpSetResponseHeader)
			if method == streamHeader {
				break
			}
		}
		if framed != original {
			t.Errorf("original %v: framed %v", original, framed)
		}
	}
}
