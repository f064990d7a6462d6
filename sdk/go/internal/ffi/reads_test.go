package ffi

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// query is the method that asks for it.
const query = 205

// TestTwoWhoReadAtOnceGetTheirOwn: the original wakes all readers of a session by any answer.
func TestTwoWhoReadAtOnceGetTheirOwn(t *testing.T) {
	h := newHost()
	h.open(t, 1, func(port session.Port, run *session.Run) {
		var both sync.WaitGroup
		both.Go(func() {
			body, err := port.Fetch(context.Background(), run, wire.FetchRequestBody, 0)
			if err != nil || string(body) != "body" {
				t.Errorf("the body is %q, %v", body, err)
			}
		})
		both.Go(func() {
			port.Load(run, session.PartQuery)
			if run.Request.Query != "query" {
				t.Errorf("the query is %q", run.Request.Query)
			}
		})
		both.Wait()
		_ = port.Finish(run, wire.Next)
	})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	if asked := <-h.came + <-h.came; asked != readRequestBody+query {
		t.Fatal(asked)
	}
	h.library.Event(1, 0, query, []byte("query"))
	h.library.Event(1, 0, readRequestBody, []byte("body"))
	if last := <-h.came; last != next {
		t.Error(last)
	}
}

// bodies are the ways to read one, by the method that each asks with.
var bodies = map[uint32]func(port session.Port, run *session.Run) ([]byte, error){
	readRequestBody: func(port session.Port, run *session.Run) ([]byte, error) {
		return port.Fetch(port.Context(), run, wire.FetchRequestBody, 0)
	},
	readResponseBody: func(port session.Port, run *session.Run) ([]byte, error) {
		return port.Fetch(port.Context(), run, wire.FetchResponseBody, 0)
	},
	readRequestPiece: func(port session.Port, run *session.Run) ([]byte, error) {
		return io.ReadAll(port.ReadStream(run, wire.FetchRequestStream))
	},
	readResponsePiece: func(port session.Port, run *session.Run) ([]byte, error) {
		return io.ReadAll(port.ReadStream(run, wire.FetchResponseStream))
	},
}

// reads opens a session whose body filter reads in one of the ways, and tells what came of it.
func (h *host) reads(t *testing.T, method uint32, send Send) (runs <-chan *session.Run, came <-chan error) {
	t.Helper()
	began, errs := make(chan *session.Run, 1), make(chan error, 1)
	h.library.Extensions([]uint32{readRequestPiece, readResponsePiece})
	h.library.Add("e", func(port session.Port) (session.Handler, *session.Failure) {
		return handler{mask: wire.AllPhases, port: port, run: func(port session.Port, run *session.Run) {
			began <- run
			body, err := bodies[method](port, run)
			if len(body) > 0 {
				t.Errorf("method %d gives %q", method, body)
			}
			errs <- err
		}}, nil
	})
	if !h.library.Register(1, "e", send) {
		t.Fatal("not registered")
	}
	h.library.Event(1, uint8(wire.ResponseBodyFilter), 0, nil)
	return began, errs
}

// TestNothingIsNoBodyOnceTheSessionIsOver: a host answers whoever still waits, and what comes first is up to it.
func TestNothingIsNoBodyOnceTheSessionIsOver(t *testing.T) {
	for method := range bodies {
		h := newHost()
		_, came := h.reads(t, method, func(sid, method uint32, _ []byte) {
			h.library.Event(sid, 0, method, nil)
			h.library.Close(sid)
		})
		if err := <-came; !errors.Is(err, session.ErrClosed) {
			t.Errorf("method %d: %v", method, err)
		}
	}
}

// TestNothingIsNoBodyOnceThePhaseIsOver: another goroutine of the handler has ended it.
func TestNothingIsNoBodyOnceThePhaseIsOver(t *testing.T) {
	for method := range bodies {
		h := newHost()
		asked := make(chan struct{})
		runs, came := h.reads(t, method, func(_, sent uint32, _ []byte) {
			if sent == method {
				close(asked)
			}
		})
		<-asked
		if err := h.library.session(1).Finish(<-runs, wire.Next); err != nil {
			t.Error(err)
		}
		h.library.Event(1, 0, method, nil)
		if err := <-came; !errors.Is(err, session.ErrClosed) {
			t.Errorf("method %d: %v", method, err)
		}
	}
}

// TestNothingIsAnEmptyBodyWhileThePhaseLasts: it lasts as long as its WebSocket.
func TestNothingIsAnEmptyBodyWhileThePhaseLasts(t *testing.T) {
	for method := range bodies {
		h := newHost()
		_, came := h.reads(t, method, func(sid, method uint32, _ []byte) { h.library.Event(sid, 0, method, nil) })
		if err := <-came; err != nil {
			t.Errorf("method %d: %v", method, err)
		}
	}
	h, came := newHost(), make(chan error, 1)
	h.answers[readRequestBody] = ""
	h.open(t, 1, func(port session.Port, run *session.Run) {
		err := port.Upgrade(run, session.SocketOptions{}, session.SocketEvents{
			Open: func(session.SocketPort) {
				_, err := port.Fetch(port.Context(), run, wire.FetchRequestBody, 0)
				came <- err
			},
			Closed: func(session.SocketPort) {},
		})
		if err != nil {
			t.Error(err)
		}
	})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	for <-h.came != socketUpgrade {
	}
	h.library.Event(1, 0, socketOpened, nil)
	if err := <-came; err != nil {
		t.Error(err)
	}
}
