package session

import (
	"runtime"
	"weak"
)

// held is user code's hold on a stream.
type held[T any, S streams[T]] struct{ stream *T }

type streams[T any] interface {
	*T
	StreamPort
}

// Hold gives user code a hold on a stream. Once nothing refers to it any more nobody can end the stream: a handler that has
// returned and left no goroutine behind has cut it (SPEC 14.2).
func Hold[T any, S streams[T]](stream S) StreamPort {
	hold := &held[T, S]{stream}
	// Weak, because a session may lead to the variables of its handler, and so to the hold itself.
	runtime.AddCleanup(hold, func(left weak.Pointer[T]) {
		if s := left.Value(); s != nil {
			go S(s).Cut() // it may wait for the other side, which a cleanup must not
		}
	}, weak.Make((*T)(stream)))
	return hold
}

func (h *held[T, S]) Write(p []byte) (int, error) {
	defer runtime.KeepAlive(h)
	return S(h.stream).Write(p)
}

func (h *held[T, S]) End() error {
	defer runtime.KeepAlive(h)
	return S(h.stream).End()
}

func (h *held[T, S]) Cut() { S(h.stream).Cut() }
