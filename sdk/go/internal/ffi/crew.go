package ffi

// idle is how many goroutines of a crew wait for work at most.
const idle = 64

// worker does what has to be done for a session. It may end its goroutine.
type worker interface{ work() }

// crew runs callbacks on goroutines that are kept: what a new one costs is mostly its stack, which grows to the depth of a callback.
var crew = newCrew()

type goroutines struct {
	works chan worker   // taken only by one that waits
	seats chan struct{} // of those that wait
}

func newCrew() *goroutines {
	return &goroutines{works: make(chan worker), seats: make(chan struct{}, idle)}
}

// do runs the work on a goroutine of its own, without waiting for it.
func (g *goroutines) do(w worker) {
	select {
	case g.works <- w:
	default:
		go g.serve(w)
	}
}

func (g *goroutines) serve(w worker) {
	for {
		w.work()
		select {
		case g.seats <- struct{}{}:
		default:
			return // enough others wait
		}
		w = <-g.works
		<-g.seats
	}
}
