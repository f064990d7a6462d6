package sdk

import (
	"io"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
)

// ResponseStream is a response that is sent piece by piece.
type ResponseStream struct{ port session.StreamPort }

var _ io.WriteCloser = (*ResponseStream)(nil)

// Write sends a piece. It blocks until the client takes it, and gives the number of bytes that were accepted with an error.
func (s *ResponseStream) Write(p []byte) (n int, err error) { return s.port.Write(p) }

// End ends the response and the phase. A second call does nothing.
func (s *ResponseStream) End() error { return s.port.End() }

// Close is End.
func (s *ResponseStream) Close() error { return s.End() }
