package ffi

import (
	"runtime"
	"sync"
	"testing"
)

type work func()

func (w work) work() { w() }

func TestACrewDoesEverythingOnceWhoeverLeaves(t *testing.T) {
	const works = 1000
	crew := newCrew()
	var done sync.WaitGroup
	done.Add(works)
	for i := range works {
		crew.do(work(func() {
			defer done.Done()
			if i%3 == 0 {
				runtime.Goexit()
			}
		}))
	}
	done.Wait()
}

func TestACrewKeepsWhoHasNothingToDo(t *testing.T) {
	crew := newCrew()
	ran := make(chan struct{})
	crew.do(work(func() { ran <- struct{}{} }))
	<-ran
	for kept := false; !kept; { // until it waits, which nobody is told of
		runtime.Gosched()
		select {
		case crew.works <- work(func() { ran <- struct{}{} }):
			kept = true
		default:
		}
	}
	<-ran
}
