package natsworker

import (
	"testing"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

func revision(hash string, loaded uint64) *wire.Revision {
	return &wire.Revision{Hash: hash, LoadedMs: loaded}
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestAPluginThatWantsNoConfigServesAtOnce(t *testing.T) {
	s := &initState{}
	expect(t, "verdict", s.judge(revision("a", 1)), serve)
	expect(t, "state", s.state(), wire.Ready)
}

func TestTheFirstOpenBringsTheConfigAndTheOthersWait(t *testing.T) {
	s, first, other := &initState{wanted: true}, &live{}, &live{number: 2}
	expect(t, "without any", s.judge(nil), take)
	s.begin(revision("a", 5), first)
	expect(t, "state", s.state(), wire.Initializing)
	expect(t, "the same", s.judge(revision("a", 5)), wait)
	expect(t, "another session ends", s.lost(other), false)
	expect(t, "its session ends", s.lost(first), true)
	expect(t, "somebody else has to", s.judge(revision("a", 5)), take)
	s.begin(revision("a", 5), first)
	s.succeeded()
	expect(t, "the same text, loaded again", s.judge(revision("a", 9)), serve)
	expect(t, "older than that", s.judge(revision("b", 8)), serve)
	expect(t, "serving", *s.serving(), *revision("a", 9))
}

func TestOnlyANewerConfigReplacesTheOneThatServes(t *testing.T) {
	s := &initState{wanted: true}
	s.begin(revision("a", 5), nil)
	s.succeeded()
	expect(t, "older", s.judge(revision("b", 4)), serve)
	expect(t, "as old", s.judge(revision("b", 5)), serve)
	expect(t, "none", s.judge(nil), serve)
	expect(t, "newer", s.judge(revision("b", 6)), take)
}

func TestARefusedConfigIsTriedAgainLater(t *testing.T) {
	s, now := &initState{wanted: true}, time.Now()
	s.begin(revision("a", 5), nil)
	s.refused([]byte("text"), "no", now)
	expect(t, "the first one failed", s.judge(revision("a", 5)), failed)
	expect(t, "state", s.state(), wire.FailedFirst)
	if _, due := s.again(now); due {
		t.Error("at once")
	}
	delay := firstDelay
	for range 8 {
		now = now.Add(delay)
		text, due := s.again(now)
		if !due || string(text) != "text" {
			t.Fatalf("not after %s", delay)
		}
		expect(t, "meanwhile", s.judge(revision("a", 5)), wait)
		s.refused([]byte("text"), "no", now)
		delay = min(2*delay, lastDelay)
	}
	expect(t, "a newer one", s.judge(revision("b", 6)), take)
	s.begin(revision("b", 6), nil)
	s.succeeded()
	expect(t, "state", s.state(), wire.Ready)
}

func TestAFailingLaterConfigKeepsTheOldOne(t *testing.T) {
	s := &initState{wanted: true}
	s.begin(revision("a", 5), nil)
	s.succeeded()
	s.begin(revision("b", 6), nil)
	s.refused(nil, "no", time.Now())
	expect(t, "verdict", s.judge(revision("b", 6)), serve)
	expect(t, "state", s.state(), wire.FailedKeepingOld)
	expect(t, "serving", s.serving().Hash, "a")
}

func TestTheWorkersOwnConfigWins(t *testing.T) {
	s := &initState{wanted: true, own: true}
	s.begin(nil, nil)
	expect(t, "verdict", s.judge(revision("a", 5)), wait)
	s.succeeded()
	expect(t, "verdict", s.judge(revision("b", 9)), serve)
}

func TestAges(t *testing.T) {
	a, now := &ages{}, started.Add(time.Hour)
	const clock, ms = 5_000_000, time.Millisecond
	expect(t, "the first", a.age("a", clock, now), 0)
	expect(t, "one that waited", a.age("a", clock, now.Add(700*ms)), 700*ms)
	expect(t, "one that did not", a.age("a", clock+700, now.Add(700*ms)), 0)
	expect(t, "another thread", a.age("b", clock, now.Add(700*ms)), 0)
	// What was buffered while the process was frozen stays old.
	a.look(now.Add(700 * ms))
	later := now.Add(60_000 * ms)
	a.look(later)
	expect(t, "frozen", a.age("a", clock+1_000, later), 59_000*ms)
	expect(t, "afterwards", a.age("a", clock+60_000, later), 0)
}

func TestAgesAreNotRememberedWithoutBound(t *testing.T) {
	a := &ages{}
	for number := range 3 * mostMeasures {
		a.age(string(rune(number+1)), 0, started)
	}
	if len(a.measures) > mostMeasures {
		t.Error(len(a.measures))
	}
}
