package sdktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// mostRead is the longest piece that one Read gives: a handler must not count on more, as bodies come in pieces.
const mostRead = 4096

// stream is a streamed answer; the client takes it all, or leaves where the test wants it to.
type stream struct {
	session *memory
	phase   *phase
	turn    sync.Mutex // of writers
	head    []wire.Operation
	body    []byte
	cut     bool
}

var errCut = errors.New("the handler cut its stream short")

func (s *memory) OpenStream(run *session.Run) (session.StreamPort, error) {
	p := run.Own.(*phase)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.over:
		return nil, fmt.Errorf("streaming a body: %w", session.ErrClosed)
	case p.stream != nil:
		return nil, errors.New("streaming a body: it has begun before")
	}
	p.stream = &stream{session: s, phase: p, head: p.ops}
	return p.stream, nil
}

func (s *stream) Write(piece []byte) (int, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if err := context.Cause(s.session.ctx); err != nil {
		return 0, err
	}
	s.phase.mu.Lock()
	defer s.phase.mu.Unlock()
	if s.phase.over {
		return 0, fmt.Errorf("writing to a stream: it has ended: %w", session.ErrClosed)
	}
	most := len(piece)
	if leave := s.session.leaveAfter; leave > 0 {
		most = min(most, leave-len(s.body))
	}
	s.body = append(s.body, piece[:most]...)
	if leave := s.session.leaveAfter; leave > 0 && len(s.body) == leave {
		s.session.cancel(session.ErrClientGone)
	}
	if most < len(piece) {
		return most, session.ErrClientGone
	}
	return most, nil
}

func (s *stream) End() error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if err := context.Cause(s.session.ctx); err != nil {
		s.Cut()
		return err
	}
	_ = s.phase.end(wire.End, nil) // a second end does nothing
	if s.wasCut() {
		return errCut
	}
	return nil
}

func (s *stream) Cut() {
	s.phase.mu.Lock()
	s.cut = s.cut || !s.phase.over
	s.phase.mu.Unlock()
	_ = s.phase.end(wire.End, nil) // after the end it does nothing
}

func (s *stream) wasCut() bool {
	s.phase.mu.Lock()
	defer s.phase.mu.Unlock()
	return s.cut
}

// reading is a body as it comes.
type reading struct {
	session *memory
	run     *session.Run
	what    wire.FetchKind

	mu     sync.Mutex
	rest   *bytes.Reader // nil: not asked for yet
	closed bool
}

func (s *memory) ReadStream(run *session.Run, what wire.FetchKind) session.BodyPort {
	return &reading{session: s, run: run, what: what}
}

func (r *reading) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := context.Cause(r.session.ctx); err != nil {
		return 0, err
	}
	if r.closed {
		return 0, io.ErrClosedPipe
	}
	if r.rest == nil {
		body, err := r.session.take(r.run, r.what)
		if err != nil {
			return 0, err
		}
		r.rest = bytes.NewReader(body)
	}
	return r.rest.Read(p[:min(len(p), mostRead)])
}

func (r *reading) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return nil
}

// keptBody: a request body up to this length stays whole although it is read piece by piece (SPEC 14.7).
const keptBody = 32 << 10

// take gives a body to the one who streams it; nobody else gets a long one.
func (s *memory) take(run *session.Run, what wire.FetchKind) ([]byte, error) {
	if what == wire.FetchResponseStream {
		return run.Own.(*phase).response, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.taken:
		return nil, errTaken
	case run.Phase == wire.Logging:
		return nil, session.ErrNoBody
	}
	s.taken = !s.read && len(s.body) > keptBody
	return s.body, nil
}

var errTaken = fmt.Errorf("reading what BodyReader has taken: %w", session.ErrNoBody)
