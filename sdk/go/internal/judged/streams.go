package judged

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

// stream is a step {"do": "stream", "steps": […]}. With "leave": true nobody ends it, with "try": true an error is noted.
func (c *at) stream(s step) {
	out, err := c.response.Stream()
	if err == nil {
		err = c.play(steps(s["steps"]), out, c.request.BodyReader)
		if err == nil && s["leave"] != true {
			err = out.End()
			c.over = true
		}
	}
	if err != nil && s["try"] == true {
		c.note(nil, map[string]any{"raised": err.Error()})
	} else if err != nil {
		panic(err)
	}
}

// ender is an output that can be ended before its handler returns.
type ender interface{ End() error }

// play is what a handler does while it streams.
func (c *at) play(all []step, out io.Writer, body func() io.ReadCloser) error {
	for _, s := range all {
		switch s.text("do") {
		case "write":
			if err := c.write(s, out); err != nil {
				return err
			}
		case "echo":
			if err := echo(out, body()); err != nil {
				return err
			}
		case "end_stream":
			if err := out.(ender).End(); err != nil {
				return err
			}
		case "wait":
			c.wait(s.number("ms"), true)
			c.note(nil, map[string]any{"waited": s.number("ms"), "cancelled": c.cancelled()})
		case "note":
			c.note(s.texts("what"), nil)
		case "raise":
			panic("asked to raise")
		default:
			panic(fmt.Sprintf("nobody knows %v in a stream", s))
		}
	}
	return nil
}

func (c *at) write(s step, out io.Writer) error {
	data := s.data()
	for range max(s.number("times"), 1) {
		if _, err := out.Write(data); err != nil {
			c.note(nil, map[string]any{"raised": err.Error()})
			return err
		}
	}
	return nil
}

// echo writes what it reads in capitals.
func echo(out io.Writer, body io.Reader) error {
	buffer := make([]byte, 32<<10)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			if _, err := out.Write(bytes.ToUpper(buffer[:n])); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

type playing func(c *at, all []step, out io.Writer, body func() io.ReadCloser) error

// playElsewhere plays in another goroutine.
func playElsewhere(c *at, all []step, out io.Writer, body func() io.ReadCloser) error {
	played := make(chan error, 1)
	go func() {
		err := errors.New("the goroutine has panicked")
		defer func() {
			if cause := recover(); cause != nil {
				err = fmt.Errorf("%v", cause)
			}
			played <- err
		}()
		err = c.play(all, out, body)
	}()
	return <-played
}

// filterStream registers a body filter that works piece by piece, and logging.
func filterStream(phase *sdk.PhaseHandler, play playing) {
	session := &session{phase: phase}
	phase.ResponseBodyStream(func(ctx *sdk.PhaseResponseBodyFilter, r io.Reader, w io.Writer) error {
		here := session.inBody(ctx)
		return play(here, here.steps(), w, func() io.ReadCloser { return io.NopCloser(r) })
	})
	phase.Logging(func(ctx *sdk.PhaseLogging) {
		here := session.inLogging(ctx)
		here.note([]string{"status"}, nil)
		here.next()
	})
}
