package ffi

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

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

// sendOps sends the changes of a run; sending is held.
func (s *live) sendOps(own *run) {
	ops := settled(own.ops)
	own.ops = nil
	for i := range ops {
		op := &ops[i]
		number := op.Number
		var payload []byte
		switch number {
		case wire.OpSetResponseStatus:
			payload = binary.BigEndian.AppendUint16(nil, op.Status)
		case wire.OpSetResponseFullBody:
			payload = op.Bytes
		case wire.OpRemoveResponseHeader, wire.OpRemoveRequestHeader:
			payload = []byte(op.Name)
		default:
			payload = encodeHeader(op.Name, op.Value)
			if number == wire.OpAddResponseHeader && !s.library.offers(number) {
				number = wire.OpSetResponseHeader // which keeps what is there, in a host without it
			}
		}
		s.out(s.sid, number, payload)
	}
}

// settled leaves out changes of response headers that a later one of the same name undoes: the original host makes removals
// last, whatever the order, and takes other spellings for other headers.
func settled(ops []wire.Operation) []wire.Operation {
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
