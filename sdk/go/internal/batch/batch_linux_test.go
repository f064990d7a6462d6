package batch

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// usual is the policy that this process was started with: where the whole test run has another one, that is kept.
var usual = func() uint32 {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return unix.SCHED_NORMAL
	}
	return attr.Policy
}()

func policies(t *testing.T) map[int]uint32 {
	t.Helper()
	entries, err := os.ReadDir(threads)
	if err != nil {
		t.Skip("no /proc:", err)
	}
	found := map[int]uint32{}
	for _, entry := range entries {
		id, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		if attr, err := unix.SchedGetAttr(id, 0); err == nil { // it may have ended
			found[id] = attr.Policy
		}
	}
	return found
}

func TestEveryThreadJoinsButThoseWithAPolicyOfTheirOwn(t *testing.T) {
	kept, ready, done := make(chan int), make(chan struct{}), make(chan struct{})
	var over sync.WaitGroup
	over.Go(func() {
		runtime.LockOSThread()
		id := unix.Gettid()
		idle := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
		if err := unix.SchedSetAttr(id, idle, 0); err != nil {
			t.Error(err)
		}
		kept <- id
		<-done
		if err := unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: usual}, 0); err != nil {
			t.Error(err)
		}
		runtime.UnlockOSThread()
	})
	idle := <-kept
	defer over.Wait()
	defer close(done)
	Join()
	over.Go(func() {
		runtime.LockOSThread()
		close(ready)
		<-done
		runtime.UnlockOSThread()
	})
	<-ready
	for id, policy := range policies(t) {
		want := uint32(unix.SCHED_BATCH)
		if usual != unix.SCHED_NORMAL {
			want = usual
		}
		if id == idle {
			want = unix.SCHED_IDLE
		}
		if policy != want {
			t.Errorf("thread %d has policy %d, not %d", id, policy, want)
		}
	}
}
