package ffi

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// The two tables of the ABI, by hand: HeaderKeyValue {key, value} goes out, NylonHttpHeaders {[HeaderKeyValue]} comes in.

// encodeHeader gives what the original SDK gives, byte for byte.
func encodeHeader(key, value string) []byte { return appendHeader(nil, key, value) }

func appendHeader(to []byte, key, value string) []byte {
	valueEnd := 24 + padded(len(value))
	start := len(to)
	to = slices.Grow(to, valueEnd+padded(len(key)))[:start+valueEnd+padded(len(key))]
	buffer := to[start:]
	clear(buffer)
	u32 := binary.LittleEndian.PutUint32
	u16 := binary.LittleEndian.PutUint16
	u32(buffer, 12)     // the table
	u16(buffer[4:], 8)  // vtable: its size,
	u16(buffer[6:], 12) // the table's,
	u16(buffer[8:], 8)  // key,
	u16(buffer[10:], 4) // value
	u32(buffer[12:], 8) // back to the vtable
	u32(buffer[16:], 8)
	u32(buffer[20:], uint32(valueEnd-20))
	u32(buffer[24:], uint32(len(value)))
	copy(buffer[28:], value)
	u32(buffer[valueEnd:], uint32(len(key)))
	copy(buffer[valueEnd+4:], key)
	return to
}

// padded is the room of a string: length, bytes, NUL, to a multiple of four.
func padded(length int) int { return (4 + length + 1 + 3) &^ 3 }

var errMalformed = errors.New("a header list is malformed")

// flat reads a buffer whose offsets nobody has checked.
type flat struct {
	buffer []byte
	whole  string // the same
	broken bool
}

func (f *flat) at(offset, size uint64) []byte {
	if offset > uint64(len(f.buffer)) || size > uint64(len(f.buffer))-offset {
		f.broken = true
		return make([]byte, 4)
	}
	return f.buffer[offset : offset+size]
}

func (f *flat) u32(offset uint64) uint64 { return uint64(binary.LittleEndian.Uint32(f.at(offset, 4))) }
func (f *flat) u16(offset uint64) uint64 { return uint64(binary.LittleEndian.Uint16(f.at(offset, 2))) }

// follow gives where an offset leads.
func (f *flat) follow(offset uint64) uint64 { return offset + f.u32(offset) }

// field gives where a table's field leads; a field that is not there breaks the buffer: all are required.
func (f *flat) field(table, slot uint64) uint64 {
	vtable := uint64(int64(table) - int64(int32(f.u32(table))))
	if 4+2*slot+2 > f.u16(vtable) {
		f.broken = true
		return 0
	}
	offset := f.u16(vtable + 4 + 2*slot)
	if offset == 0 {
		f.broken = true
	}
	return f.follow(table + offset)
}

// string is a part of all of them, which are one piece of memory.
func (f *flat) string(offset uint64) string {
	length := f.u32(offset)
	if f.at(offset+4, length); f.broken {
		return ""
	}
	return f.whole[offset+4 : offset+4+length]
}

// decodeHeaders gives a NylonHttpHeaders with names in lower case, in order, repeats kept.
func decodeHeaders(buffer []byte) ([]wire.Header, error) {
	f := &flat{buffer: buffer, whole: string(buffer)}
	vector := f.field(f.follow(0), 0)
	count := f.u32(vector)
	if f.broken || count > uint64(len(buffer))/4 {
		return nil, errMalformed
	}
	headers := make([]wire.Header, 0, count)
	for i := range count {
		table := f.follow(vector + 4 + 4*i)
		header := wire.Header{Name: strings.ToLower(f.string(f.field(table, 0))), Value: f.string(f.field(table, 1))}
		if f.broken {
			return nil, errMalformed
		}
		headers = append(headers, header)
	}
	return headers, nil
}
