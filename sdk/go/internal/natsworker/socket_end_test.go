package natsworker

import (
	"errors"
	"fmt"
	"testing"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

func TestAFailureIsToldOnce(t *testing.T) {
	k := &talk{last: func(port session.SocketPort) {
		if code, _ := port.Closed(); code != session.CloseNoFrame {
			t.Error(code)
		}
	}}
	g, open := upgraded(t, nil, k)
	g.direct(&wire.WsError{Head: with(open, 2), Text: "it broke"})
	g.direct(&wire.Abort{Head: open.Head, Reason: wire.AbortClientGone})
	k.is(g, "[open failed it broke closed]")
}

func TestALostSessionClosesItsWebSocketOnce(t *testing.T) {
	for name, end := range map[string]func(g *gateway, open *wire.Open){
		"client": func(g *gateway, open *wire.Open) {
			g.direct(&wire.Abort{Head: open.Head, Reason: wire.AbortClientGone})
		},
		"gateway": func(g *gateway, open *wire.Open) {
			if err := g.sub.Unsubscribe(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := map[string]error{"client": session.ErrClientGone, "gateway": session.ErrClosed}[name]
			k := &talk{}
			g, open := upgraded(t, nil, k)
			end(g, open)
			k.is(g, fmt.Sprintf("[open failed %v closed]", want))
			g.eventually("nothing is left", func(w *Worker) bool { return len(w.live) == 0 && len(w.left) == 0 })
		})
	}
}

func TestCloseCodes(t *testing.T) {
	for code, act := range map[uint16]func(g *gateway, port session.SocketPort) error{
		4001: func(_ *gateway, port session.SocketPort) error {
			return errors.Join(port.Close(4001, "so"), port.Close(1000, ""))
		},
		session.CloseAway: func(g *gateway, _ session.SocketPort) error { g.worker.Drain(); return nil },
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			worker := make(chan *gateway, 1)
			k := &talk{message: func(port session.SocketPort, _ string) {
				if err := act(<-worker, port); err != nil {
					t.Error(err)
				}
			}}
			g, open := upgraded(t, nil, k)
			worker <- g
			g.says(open, 2, "go", false)
			if op := next[*wire.WsOp](g); op.Operation.Number != wire.WsClose || op.Operation.Code != code {
				t.Errorf("%+v", op)
			}
			g.says(open, 3, "unheard", false)
			g.direct(&wire.WsClosed{Head: with(open, 4), Code: code})
			next[*wire.Result](g)
		})
	}
}
