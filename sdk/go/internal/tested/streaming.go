package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

// streaming are the entries of the tests about streams, tests/e2e/plugins/streaming.py in Go.
var streaming = map[string]func(*sdk.PhaseHandler){
	"streams": streams, "echo": echo, "upload": upload, "beside": beside, "upper": upper, "exclaim": exclaim, "misplaced": misplaced,
}

// logged notes what came of each request.
func logged(phase *sdk.PhaseHandler) {
	phase.Logging(func(ctx *sdk.PhaseLogging) {
		note(map[string]any{
			"logged": ctx.Request().Header("x-id"), "status": ctx.Response().Status(), "bytes": ctx.Response().Bytes(),
			"error": ctx.Response().Error(),
		})
		ctx.Next()
	})
}

// streams answers as the headers ask: `x-count` pieces, then what is in `x-then`.
func streams(phase *sdk.PhaseHandler) {
	logged(phase)
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		then := ctx.Request().Header("x-then")
		ctx.Response().SetStatus(203)
		ctx.Response().SetHeader("Content-Type", "text/event-stream")
		ctx.Response().SetHeader("X-Streamed", "yes")
		if then == "raise_before" {
			panic("asked to panic before the stream")
		}
		stream, err := ctx.Response().Stream()
		if err != nil {
			panic(err)
		}
		if then == "raise_first" {
			panic("asked to panic before the first byte")
		}
		if then == "goroutine" {
			phase.Go(func() { produce(phase, ctx, stream, "") })
			return
		}
		produce(phase, ctx, stream, then)
	})
}

func produce(phase *sdk.PhaseHandler, ctx *sdk.PhaseRequestFilter, stream *sdk.ResponseStream, then string) {
	id := ctx.Request().Header("x-id")
	size, _ := strconv.Atoi(ctx.Request().Header("x-size"))
	count, err := strconv.Atoi(ctx.Request().Header("x-count"))
	if err != nil {
		count = 3
	}
	sent, piece := 0, bytes.Repeat([]byte("x"), size)
	write := func(p []byte) bool {
		n, err := stream.Write(p)
		sent += n
		if err != nil {
			note(map[string]any{"id": id, "gone": "write", "why": err.Error(), "sent": sent})
		}
		return err == nil
	}
	for i := range count {
		p := fmt.Appendf(nil, "data: %d\n\n", i)
		if size > 0 {
			p = piece
		}
		if !write(p) {
			return
		}
		if size > 0 {
			note(map[string]any{"id": id, "sent": sent})
		}
	}
	switch then {
	case "raise":
		panic("asked to panic in the stream")
	case "next":
		ctx.Next()
		return
	case "forget": // the stream is nobody's any more
		phase.Go(func() {
			for phase.Context().Err() == nil {
				runtime.GC()
				time.Sleep(10 * time.Millisecond) // sleep: between two looks
			}
		})
		return
	case "wait":
		note(map[string]any{"id": id, "waits": true})
		<-phase.Context().Done()
		note(map[string]any{"id": id, "gone": "cancelled", "why": context.Cause(phase.Context()).Error(), "sent": sent})
		return
	case "forever":
		note(map[string]any{"id": id, "waits": true})
		for write([]byte("data: more\n\n")) {
			time.Sleep(20 * time.Millisecond) // sleep: a stream that is never over
		}
		return
	}
	if err := errors.Join(stream.End(), stream.End()); err != nil {
		note(map[string]any{"id": id, "end": err.Error()})
		return
	}
	if _, err := stream.Write([]byte("after the end")); errors.Is(err, sdk.ErrSessionClosed) {
		note(map[string]any{"id": id, "after": err.Error()})
	}
}

// echo answers with the body of the request, piece by piece.
func echo(phase *sdk.PhaseHandler) {
	logged(phase)
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		id := ctx.Request().Header("x-id")
		note(map[string]any{"id": id, "reads": true})
		stream, err := ctx.Response().Stream()
		if err == nil {
			_, err = io.Copy(stream, ctx.Request().BodyReader())
		}
		if err == nil {
			err = stream.End()
		}
		if err != nil {
			note(map[string]any{"id": id, "broken": err.Error()})
		}
	})
}

// upload reads a body of any length before it answers, and hangs where `x-hang` says: before it, behind its first piece or its
// last.
func upload(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		hang, id := ctx.Request().Header("x-hang"), ctx.Request().Header("x-id")
		at := func(place string) {
			if hang == place {
				<-phase.Context().Done()
				note(map[string]any{"id": id, "cancelled": true})
			}
		}
		at("before")
		sum, body, buffer, n := sha256.New(), ctx.Request().BodyReader(), make([]byte, 32<<10), 0
		for {
			piece, err := body.Read(buffer)
			sum.Write(buffer[:piece])
			if n += piece; piece > 0 && id != "" {
				note(map[string]any{"id": id, "piece": piece})
				at("first")
			}
			if errors.Is(err, io.EOF) {
				note(map[string]any{"id": id, "whole": n})
				break
			}
			if err != nil {
				note(map[string]any{"id": id, "broken": err.Error()})
				panic(err)
			}
		}
		at("last")
		if ctx.Request().Header("x-next") != "" {
			ctx.Next()
			return
		}
		ctx.Response().BodyJSON(map[string]any{"sha256": hex.EncodeToString(sum.Sum(nil)), "bytes": n})
		ctx.End()
	})
}

// beside reads an upload in a goroutine, and answers by a stream that has begun before its end.
func beside(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		body, count := ctx.Request().BodyReader(), make(chan int64, 1)
		n, err := body.Read(make([]byte, 32<<10))
		must(err)
		phase.Go(func() {
			rest, err := io.Copy(io.Discard, body)
			if err != nil {
				note(map[string]any{"id": ctx.Request().Header("x-id"), "broken": err.Error()})
			}
			count <- int64(n) + rest
		})
		time.Sleep(50 * time.Millisecond) // sleep: a read that waits for the client
		stream, err := ctx.Response().Stream()
		must(err)
		_, err = fmt.Fprintf(stream, `{"bytes": `)
		must(err)
		_, err = fmt.Fprintf(stream, `%d}`, <-count)
		must(err)
		must(stream.End())
	})
}

// upper filters a body piece by piece.
func upper(phase *sdk.PhaseHandler) {
	logged(phase)
	phase.ResponseBodyStream(func(ctx *sdk.PhaseResponseBodyFilter, r io.Reader, w io.Writer) error {
		note(map[string]any{"filters": ctx.Request().Header("x-id")})
		limit, err := strconv.Atoi(ctx.Request().Header("x-fail-after"))
		if err != nil {
			limit = -1
		}
		if limit == 0 {
			return errors.New("asked to refuse")
		}
		buffer, seen := make([]byte, 10_000), 0
		for {
			n, err := r.Read(buffer)
			if _, err := w.Write(bytes.ToUpper(buffer[:n])); err != nil {
				return err
			}
			if seen += n; limit > 0 && seen >= limit {
				return errors.New("asked to fail")
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
}

// exclaim adds a mark at the end.
func exclaim(phase *sdk.PhaseHandler) {
	phase.ResponseBodyStream(func(_ *sdk.PhaseResponseBodyFilter, r io.Reader, w io.Writer) error {
		if _, err := io.Copy(w, r); err != nil {
			return err
		}
		_, err := w.Write([]byte("!"))
		return err
	})
}

// misplaced wants to stream where that cannot be.
func misplaced(phase *sdk.PhaseHandler) {
	phase.ResponseFilter(func(ctx *sdk.PhaseResponseFilter) {
		if _, err := ctx.Response().Stream(); err != nil {
			ctx.SetResponseHeader("X-Error", err.Error())
		}
		ctx.Next()
	})
}
