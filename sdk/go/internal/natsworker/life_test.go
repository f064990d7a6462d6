package natsworker

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

func TestBeats(t *testing.T) {
	g := stage(t, nil, finishing(1, wire.Next))
	beats := make(chan *wire.Beat, 64)
	_, err := g.conn.Subscribe(g.worker.beats, func(m *nats.Msg) {
		frame, err := wire.Decode(string(m.Data))
		if err != nil {
			t.Error(err)
			return
		}
		beats <- frame.(*wire.Beat)
	})
	if err != nil {
		t.Fatal(err)
	}
	first, second := <-beats, <-beats
	if second.Seq != first.Seq+1 || second.Worker != g.worker.ID() || second.Limit != 1024 || second.Draining || len(second.Entries) != 1 {
		t.Errorf("%+v", second)
	}
	g.worker.Drain()
	for beat := range beats {
		if beat.Draining {
			break
		}
	}
}

func TestTheServiceProtocol(t *testing.T) {
	g := stage(t, nil, finishing(1, wire.Next))
	g.queue(g.open())
	next[*wire.Result](g)
	for _, subject := range []string{"$SRV.STATS." + g.worker.service.name, "$SRV.STATS." + g.worker.service.name + "." + g.worker.ID()} {
		reply, err := g.conn.Request(subject, nil, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var stats struct {
			Type, ID  string
			Endpoints []struct {
				Name     string
				Requests int `json:"num_requests"`
			}
		}
		if err := json.Unmarshal(reply.Data, &stats); err != nil {
			t.Fatal(err)
		}
		if stats.Type != "io.nats.micro.v1.stats_response" || stats.ID != g.worker.ID() || stats.Endpoints[0].Requests != 1 {
			t.Errorf("%s", reply.Data)
		}
	}
}

func TestALostGatewayIsFoundByAProbe(t *testing.T) {
	h := &holding{free: make(chan struct{})}
	g := stage(t, nil, h.open)
	g.direct(g.open())
	next[*wire.Accept](g)
	if err := g.sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	g.eventually("its handler is cancelled", func(*Worker) bool { return h.cause() != nil })
	g.eventually("it is counted", func(w *Worker) bool { return w.counts.GatewayLost == 1 && len(w.live) == 0 })
}

func TestDrainFinishesWhatRunsAndTurnsAwayTheRest(t *testing.T) {
	h := &holding{free: make(chan struct{})}
	ended := make(chan struct{})
	g := stage(t, func(o *Options) { o.Shutdown = func() { close(ended) } }, h.open)
	g.direct(g.open())
	next[*wire.Accept](g)
	g.worker.Drain()
	g.eventually("it drains", func(w *Worker) bool { return w.life == draining })
	g.direct(g.open())
	if busy := next[*wire.Busy](g); busy.Reason != wire.BusyDraining {
		t.Errorf("%+v", busy)
	}
	close(h.free)
	next[*wire.Result](g)
	<-ended
	<-g.worker.Done()
}

func TestDrainAbortsWhatDoesNotEnd(t *testing.T) {
	h := &holding{free: make(chan struct{})}
	g := stage(t, func(o *Options) { o.DrainTimeout = 300 * time.Millisecond }, h.open)
	g.direct(g.open())
	next[*wire.Accept](g)
	g.worker.Drain()
	if abort := next[*wire.Abort](g); abort.Reason != wire.AbortWorkerShutdown {
		t.Errorf("%+v", abort)
	}
	<-g.worker.Done()
	if !errors.Is(h.cause(), session.ErrShuttingDown) {
		t.Error(h.cause())
	}
}

func TestConfigIsFetchedOnceAndAgainWhenNewer(t *testing.T) {
	var mu sync.Mutex
	var configs []string
	g := stage(t, func(o *Options) {
		o.Initialize = func() session.Initialize {
			return func(text []byte) error {
				mu.Lock()
				defer mu.Unlock()
				configs = append(configs, string(text))
				if string(text) == `"bad"` {
					return errors.New("refused")
				}
				return nil
			}
		}
	}, finishing(1, wire.Next))
	g.worker.WantConfig()
	run := func(hash string, loaded uint64, text string) {
		open := g.open()
		open.Revision = &wire.Revision{Hash: hash, LoadedMs: loaded}
		g.direct(open)
		if text != "" {
			fetch := next[*wire.Fetch](g)
			if fetch.What != wire.FetchConfig || fetch.First.Mask != 1 {
				t.Fatalf("%+v %+v", fetch, fetch.First)
			}
			head := open.Head
			head.Seq = 1
			g.direct(&wire.Data{Head: head, ID: fetch.CallID, Bytes: []byte(text)})
		}
		next[*wire.Result](g)
	}
	run("a", 5, `"one"`)
	run("a", 5, "")
	run("a", 9, "")       // the same text
	run("b", 8, "")       // older than that
	run("b", 10, `"two"`) // newer
	run("c", 11, `"bad"`) // refused: the old one serves on
	run("c", 11, "")
	g.eventually("its state shows it", func(w *Worker) bool { return w.init.state() == wire.FailedKeepingOld })
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(configs) != `["one" "two" "bad"]` {
		t.Error(configs)
	}
}

func TestDroppedMessagesEndEverySession(t *testing.T) {
	h := &holding{free: make(chan struct{})}
	g := stage(t, nil, h.open)
	open := g.open()
	g.direct(open)
	next[*wire.Accept](g)
	g.worker.mu.Lock() // nothing is taken off the queue
	var direct *nats.Subscription
	for _, sub := range g.worker.direct {
		if sub.Subject == g.worker.subject {
			direct = sub
		}
	}
	err := direct.SetPendingLimits(1, 1<<20)
	for dropped := 0; dropped == 0 && err == nil; {
		g.direct(&wire.Probe{Head: open.Head})
		dropped, err = direct.Dropped()
	}
	g.worker.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if abort := next[*wire.Abort](g); abort.Session != open.Session || abort.Reason != wire.AbortGap {
		t.Errorf("%+v", abort)
	}
}
