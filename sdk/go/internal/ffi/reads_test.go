package ffi

import (
	"context"
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
