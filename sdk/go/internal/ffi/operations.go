package ffi

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// supported says whether the host can make a change; the original one knows no request headers.
func (s *live) supported(number uint32) error {
	switch number {
	case wire.OpSetRequestHeader, wire.OpAddRequestHeader, wire.OpRemoveRequestHeader:
		if !s.library.offers(number) {
			return unsupported("request headers")
		}
	}
	return nil
}

func unsupported(what string) error {
	return fmt.Errorf("changing %s: %w: the gateway that has loaded this plugin does not offer it", what, session.ErrUnsupported)
}

// addedTwice says whether a header of this name is set already.
func addedTwice(ops []wire.Operation, name string) bool {
	return slices.ContainsFunc(ops, func(op wire.Operation) bool {
		return op.Number != wire.OpRemoveResponseHeader && isResponseHeader(op.Number) && strings.EqualFold(op.Name, name)
	})
}

func isResponseHeader(number uint32) bool {
	return number == wire.OpSetResponseHeader || number == wire.OpRemoveResponseHeader || number == wire.OpAddResponseHeader
}

// bundles are buffers of sendOps: the host copies what it is given.
var bundles = sync.Pool{New: func() any { return new([]byte) }}

// most is what a buffer may grow to and still be used again.
const most = 64 << 10

// sendOps sends the changes of a run and how it ends; sending is held. To a host that takes several messages in one call, which
// costs as much as one.
func (s *live) sendOps(own *run, last uint32, payload []byte) {
	ops := settled(own.ops)
	own.ops = nil
	if len(ops) == 0 || !s.library.offers(several) {
		for i := range ops {
			number, change := s.message(&ops[i], nil)
			s.out(s.sid, number, change)
		}
		s.out(s.sid, last, payload)
		return
	}
	bundle := bundles.Get().(*[]byte)
	b := (*bundle)[:0]
	for i := range ops {
		start := len(b)
		var number uint32
		number, b = s.message(&ops[i], append(b, make([]byte, 8)...))
		binary.LittleEndian.PutUint32(b[start:], number)
		binary.LittleEndian.PutUint32(b[start+4:], uint32(len(b)-start-8))
	}
	b = binary.LittleEndian.AppendUint32(b, last)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, payload...)
	s.out(s.sid, several, b)
	if cap(b) <= most {
		*bundle = b
		bundles.Put(bundle)
	}
}

// message appends the payload of a change, and says which method it is.
func (s *live) message(op *wire.Operation, to []byte) (uint32, []byte) {
	switch op.Number {
	case wire.OpSetResponseStatus:
		return op.Number, binary.BigEndian.AppendUint16(to, op.Status)
	case wire.OpSetResponseFullBody:
		return op.Number, append(to, op.Bytes...)
	case wire.OpRemoveResponseHeader, wire.OpRemoveRequestHeader:
		return op.Number, append(to, op.Name...)
	}
	to = appendHeader(to, op.Name, op.Value)
	if op.Number == wire.OpAddResponseHeader && !s.library.offers(op.Number) {
		return wire.OpSetResponseHeader, to // which keeps what is there, in a host without it
	}
	return op.Number, to
}

// settled leaves out changes of response headers that a later one of the same name undoes: the original host makes removals
// last, whatever the order, and takes other spellings for other headers.
func settled(ops []wire.Operation) []wire.Operation {
	if len(ops) < 2 {
		return ops
	}
	kept := make([]wire.Operation, 0, len(ops))
	for i, op := range ops {
		if !isResponseHeader(op.Number) || !undone(ops[i+1:], op.Name) {
			kept = append(kept, op)
		}
	}
	return kept
}

// undone says whether a later change sets or removes the header.
func undone(later []wire.Operation, name string) bool {
	return slices.ContainsFunc(later, func(op wire.Operation) bool {
		return (op.Number == wire.OpSetResponseHeader || op.Number == wire.OpRemoveResponseHeader) && strings.EqualFold(op.Name, name)
	})
}
