package sdk

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// ResponseStream is a response that is sent piece by piece. It goes on after the callback has returned, in a goroutine say,
// and has no deadline; PhaseHandler.Context ends it, and so do 5 minutes in which nothing moves (SPEC 14.1). One that its handler
// leaves without End, by a panic, by Next, or because nothing refers to it any more, is cut: the client's connection is reset, so
// that nobody takes it for a whole one (SPEC 14.2).
type ResponseStream struct {
	run  *phaseRun
	port session.StreamPort
}

var _ io.WriteCloser = (*ResponseStream)(nil)

// Write sends a piece at once, and blocks where the client is slower; in a library for 1 s at most, and a client that is 8 MiB behind
// is cut. It does not keep p, and sends nothing if p is empty; writes of several goroutines do not mix. With an error it gives the
// number of bytes that were accepted: ErrClientGone, ErrSessionClosed behind End, or whatever else ended the phase.
func (s *ResponseStream) Write(p []byte) (n int, err error) { return s.port.Write(p) }

// End ends the response and the phase; a Write that still waits goes before it. A second call does nothing. It is an error if the
// stream is cut: by the client, a failure of the phase, or the end of the session.
func (s *ResponseStream) End() error { return s.run.endStream(s.port) }

// Close is End.
func (s *ResponseStream) Close() error { return s.End() }

// openStream sends the head.
func (r *phaseRun) openStream() (session.StreamPort, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.over:
		return nil, fmt.Errorf("streaming the response: the phase has ended: %w", ErrSessionClosed)
	case r.sent:
		return nil, errors.New("streaming the response: it has begun before")
	case r.failure != nil: // it would be lost behind the head
		return nil, fmt.Errorf("streaming the response: the phase has failed: %s", r.failure.Text)
	}
	port, err := r.port.OpenStream(r.run)
	if err != nil {
		return nil, err
	}
	r.sent = true
	return port, nil
}

// endStream ends the phase with its stream, unless something has made it fail.
func (r *phaseRun) endStream(port session.StreamPort) error {
	r.mu.Lock()
	failure := r.failure
	r.mu.Unlock()
	if failure != nil {
		r.fail(*failure)
		return fmt.Errorf("ending the stream: the phase has failed: %s", failure.Text)
	}
	err := port.End() // may wait for a write of another goroutine
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	return err
}

// filterStream runs a body filter that works piece by piece. The head is held back until it reads or writes, so that it may
// still refuse before.
func (r *phaseRun) filterStream(fn func(io.Reader, io.Writer) error) error {
	f := &bodyFilter{run: r}
	err := fn(filterInput{f}, filterOutput{f})
	if err == nil {
		err = f.failed // a body that broke off must not look whole because fn did not look
	}
	if err == nil {
		err = f.open()
	}
	if err != nil {
		return err
	}
	return r.endStream(f.out)
}

type bodyFilter struct {
	run  *phaseRun
	once sync.Once
	in   session.BodyPort
	out  session.StreamPort
	err  error // of opening

	mu     sync.Mutex
	failed error // of reading
}

func (f *bodyFilter) open() error {
	f.once.Do(func() {
		if f.out, f.err = f.run.openStream(); f.err == nil {
			f.in = f.run.port.ReadStream(f.run.run, wire.FetchResponseStream)
		}
	})
	return f.err
}

type filterInput struct{ *bodyFilter }

// Read reads the body as it comes.
func (f filterInput) Read(p []byte) (int, error) {
	if err := f.open(); err != nil {
		return 0, err
	}
	n, err := f.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.mu.Lock()
		f.failed = err
		f.mu.Unlock()
	}
	return n, err
}

type filterOutput struct{ *bodyFilter }

// Write sends what takes the body's place.
func (f filterOutput) Write(p []byte) (int, error) {
	if err := f.open(); err != nil {
		return 0, err
	}
	return f.out.Write(p)
}
