package natsworker

import (
	"testing"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

func TestSilenceAsksEachThreadEverySecondAndEachSessionEverLessOften(t *testing.T) {
	threads := []string{"nylon.v1.h.g.0", "nylon.v1.h.g.1"}
	w := &Worker{live: map[wire.SessionID]*live{}, asked: map[string]time.Time{}}
	now, last, own, asked := time.Now(), map[string]time.Time{}, map[*live]int{}, 0
	for i := range 100 {
		l := &live{gateway: threads[i%2]}
		l.hear(now)
		last[l.gateway] = now
		w.live[wire.SessionID{byte(i)}] = l
	}
	look := func(times int) {
		for range times {
			now = now.Add(beatEvery)
			for _, l := range w.live {
				if now.Sub(l.probed) < probeAfter || !w.asks(l, now) {
					continue
				}
				if gap := now.Sub(last[l.gateway]); gap > probeAfter+2*beatEvery {
					t.Errorf("%s is not asked for %v", l.gateway, gap)
				}
				last[l.gateway] = now
				own[l]++
				asked++
			}
		}
	}
	look(int(time.Minute / beatEvery))
	for l, times := range own {
		if times < 5 {
			t.Errorf("%v asks %d times", l.gateway, times)
		}
	}
	if len(own) != 100 || asked > 100*6+2*60 {
		t.Errorf("%d sessions ask %d times", len(own), asked)
	}
	w.askAgain()
	clear(own)
	look(int(probeAfter/beatEvery) + 1)
	if len(own) != 100 {
		t.Errorf("what was on its way may be lost, and %d sessions ask", len(own))
	}
}
