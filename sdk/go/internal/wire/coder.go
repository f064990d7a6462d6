package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// A coder walks over the elements of a frame, once for both directions: each frame names its elements in one method, which
// writes them when out is used and reads them otherwise. So the two halves cannot drift apart.
//
// It reads from a string, so that the texts of a frame share one allocation.
type coder struct {
	writing bool
	out     []byte
	in      string
	pos     int
	left    int // elements left in the array that is read
	depth   int
	err     error
}

// begin enters an array of n elements and returns what end needs to leave it.
func (c *coder) begin(n int) int {
	outer := c.left
	if c.writing {
		c.arrayHead(n)
		return outer
	}
	c.depth++
	if c.depth > MaxDepth {
		c.fail(ErrDepth)
	}
	c.left = c.readArray()
	return outer
}

// end skips what a later version has appended and leaves the array.
func (c *coder) end(outer int) {
	if c.writing {
		return
	}
	for ; c.left > 0 && c.err == nil; c.left-- {
		c.skip(c.depth)
	}
	c.depth--
	c.left = outer
}

func (c *coder) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// present takes the next element; without one, and without a default for it, the frame is refused.
func (c *coder) present(optional bool) bool {
	if c.err != nil {
		return false
	}
	if c.left == 0 {
		if !optional {
			c.fail(ErrMissing)
		}
		return false
	}
	c.left--
	return true
}

// --- writing ---

func (c *coder) arrayHead(n int) {
	switch {
	case n < 16:
		c.out = append(c.out, 0x90|byte(n))
	case n < 1<<16:
		c.out = binary.BigEndian.AppendUint16(append(c.out, 0xdc), uint16(n))
	default:
		c.out = binary.BigEndian.AppendUint32(append(c.out, 0xdd), uint32(n))
	}
}

func (c *coder) putUint(n uint64) {
	switch {
	case n < 1<<7:
		c.out = append(c.out, byte(n))
	case n < 1<<8:
		c.out = append(c.out, 0xcc, byte(n))
	case n < 1<<16:
		c.out = binary.BigEndian.AppendUint16(append(c.out, 0xcd), uint16(n))
	case n < 1<<32:
		c.out = binary.BigEndian.AppendUint32(append(c.out, 0xce), uint32(n))
	default:
		c.out = binary.BigEndian.AppendUint64(append(c.out, 0xcf), n)
	}
}

func (c *coder) putNil() { c.out = append(c.out, 0xc0) }

func (c *coder) putStr(s string) {
	n := len(s)
	switch {
	case n < 32:
		c.out = append(c.out, 0xa0|byte(n))
	case n < 1<<8:
		c.out = append(c.out, 0xd9, byte(n))
	case n < 1<<16:
		c.out = binary.BigEndian.AppendUint16(append(c.out, 0xda), uint16(n))
	default:
		c.out = binary.BigEndian.AppendUint32(append(c.out, 0xdb), uint32(n))
	}
	c.out = append(c.out, s...)
}

func (c *coder) binHead(n int) {
	switch {
	case n < 1<<8:
		c.out = append(c.out, 0xc4, byte(n))
	case n < 1<<16:
		c.out = binary.BigEndian.AppendUint16(append(c.out, 0xc5), uint16(n))
	default:
		c.out = binary.BigEndian.AppendUint32(append(c.out, 0xc6), uint32(n))
	}
}

// --- reading ---

func (c *coder) byte() byte {
	if c.pos >= len(c.in) {
		c.fail(ErrTruncated)
		return 0
	}
	b := c.in[c.pos]
	c.pos++
	return b
}

// number reads a big-endian number of so many bytes.
func (c *coder) number(bytes int) uint64 {
	if len(c.in)-c.pos < bytes {
		c.fail(ErrTruncated)
		return 0
	}
	var n uint64
	for _, b := range []byte(c.in[c.pos : c.pos+bytes]) {
		n = n<<8 | uint64(b)
	}
	c.pos += bytes
	return n
}

func (c *coder) take(n uint64) string {
	if n > uint64(len(c.in)-c.pos) {
		c.fail(ErrTruncated)
		return ""
	}
	s := c.in[c.pos : c.pos+int(n)]
	c.pos += int(n)
	return s
}

// peekNil takes a nil if there is one.
func (c *coder) peekNil() bool {
	if c.pos < len(c.in) && c.in[c.pos] == 0xc0 {
		c.pos++
		return true
	}
	return false
}

// count checks a length against the bytes left: every element needs one at least.
func (c *coder) count(n uint64, each int) int {
	if c.err == nil && n*uint64(each) > uint64(len(c.in)-c.pos) {
		c.fail(ErrTruncated)
	}
	if c.err != nil {
		return 0
	}
	return int(n)
}

func (c *coder) readArray() int {
	switch b := c.byte(); {
	case c.err != nil:
	case b&0xf0 == 0x90:
		return c.count(uint64(b&0x0f), 1)
	case b == 0xdc:
		return c.count(c.number(2), 1)
	case b == 0xdd:
		return c.count(c.number(4), 1)
	default:
		c.fail(ErrType)
	}
	return 0
}

func (c *coder) readMap() int {
	switch b := c.byte(); {
	case c.err != nil:
	case b&0xf0 == 0x80:
		return c.count(uint64(b&0x0f), 2)
	case b == 0xde:
		return c.count(c.number(2), 2)
	case b == 0xdf:
		return c.count(c.number(4), 2)
	default:
		c.fail(ErrType)
	}
	return 0
}

func (c *coder) readUint(limit uint64) uint64 {
	n, signed := uint64(0), 0
	switch b := c.byte(); {
	case c.err != nil:
		return 0
	case b < 0x80:
		n = uint64(b)
	case b >= 0xcc && b <= 0xcf:
		n = c.number(1 << (b - 0xcc))
	case b >= 0xd0 && b <= 0xd3:
		signed = 1 << (b - 0xd0)
		n = c.number(signed)
		if n>>(8*signed-1)&1 == 1 {
			c.fail(ErrType) // negative
		}
	default:
		c.fail(ErrType)
	}
	if c.err == nil && n >= limit {
		c.fail(ErrRange)
	}
	if c.err != nil {
		return 0
	}
	return n
}

func (c *coder) readStr() string {
	var n uint64
	switch b := c.byte(); {
	case c.err != nil:
		return ""
	case b&0xe0 == 0xa0:
		n = uint64(b & 0x1f)
	case b >= 0xd9 && b <= 0xdb:
		n = c.number(1 << (b - 0xd9))
	default:
		c.fail(ErrType)
		return ""
	}
	s := c.take(n)
	if !utf8.ValidString(s) {
		c.fail(ErrUTF8)
		return ""
	}
	return s
}

func (c *coder) readBin() string {
	switch b := c.byte(); {
	case c.err != nil:
		return ""
	case b >= 0xc4 && b <= 0xc6:
		return c.take(c.number(1 << (b - 0xc4)))
	default:
		c.fail(ErrType)
		return ""
	}
}

func (c *coder) readBool() bool {
	switch c.byte() {
	case 0xc2:
		return false
	case 0xc3:
		return true
	default:
		c.fail(ErrType)
		return false
	}
}

// skip passes over one value of any type that lies in depth containers. It goes no deeper than MaxDepth.
func (c *coder) skip(depth int) {
	if c.err != nil {
		return
	}
	b := c.byte()
	if c.err != nil {
		return
	}
	values := uint64(0)
	switch {
	case b < 0x80, b >= 0xe0, b == 0xc0, b == 0xc2, b == 0xc3:
		return
	case b&0xf0 == 0x80:
		values = 2 * uint64(b&0x0f)
	case b&0xf0 == 0x90:
		values = uint64(b & 0x0f)
	case b&0xe0 == 0xa0:
		c.take(uint64(b & 0x1f))
		return
	case b >= 0xc4 && b <= 0xc6: // bin
		c.take(c.number(1 << (b - 0xc4)))
		return
	case b >= 0xc7 && b <= 0xc9: // ext
		c.take(c.number(1<<(b-0xc7)) + 1)
		return
	case b == 0xca:
		c.take(4)
		return
	case b == 0xcb:
		c.take(8)
		return
	case b >= 0xcc && b <= 0xcf:
		c.take(1 << (b - 0xcc))
		return
	case b >= 0xd0 && b <= 0xd3:
		c.take(1 << (b - 0xd0))
		return
	case b >= 0xd4 && b <= 0xd8: // fixext
		c.take(1<<(b-0xd4) + 1)
		return
	case b >= 0xd9 && b <= 0xdb:
		c.take(c.number(1 << (b - 0xd9)))
		return
	case b == 0xdc, b == 0xdd:
		values = c.number(2 << (b - 0xdc))
	case b == 0xde, b == 0xdf:
		values = 2 * c.number(2<<(b-0xde))
	default:
		c.fail(ErrType)
		return
	}
	if depth >= MaxDepth {
		c.fail(ErrDepth)
		return
	}
	for n := c.count(values, 1); n > 0 && c.err == nil; n-- {
		c.skip(depth + 1)
	}
}
