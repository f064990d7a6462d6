package wire

// Elements of both directions. A name that ends in Or has a default for a missing element.

func (c *coder) uint(limit uint64, p *uint64) {
	if c.writing {
		c.putUint(*p)
	} else if c.present(false) {
		*p = c.readUint(limit)
	}
}

func (c *coder) u32(p *uint32) {
	if c.writing {
		c.putUint(uint64(*p))
	} else if c.present(false) {
		*p = uint32(c.readUint(1 << 32))
	}
}

func (c *coder) u32Or(p *uint32, missing uint32) {
	if c.writing {
		c.putUint(uint64(*p))
	} else if *p = missing; c.present(true) {
		*p = uint32(c.readUint(1 << 32))
	}
}

func (c *coder) u16(p *uint16) {
	if c.writing {
		c.putUint(uint64(*p))
	} else if c.present(false) {
		*p = uint16(c.readUint(1 << 16))
	}
}

func (c *coder) u53(p *uint64) { c.uint(1<<53, p) }

func (c *coder) u53Or0(p *uint64) {
	if c.writing {
		c.putUint(*p)
	} else if c.present(true) {
		*p = c.readUint(1 << 53)
	}
}

// Optional is a number that may be nil.
type Optional struct {
	Set bool
	N   uint64
}

// Some is a number that is there.
func Some(n uint64) Optional { return Optional{Set: true, N: n} }

func (c *coder) optional(p *Optional, limit uint64, required bool) {
	switch {
	case c.writing && p.Set:
		c.putUint(p.N)
	case c.writing:
		c.putNil()
	case c.present(!required) && !c.peekNil():
		*p = Some(c.readUint(limit))
	}
}

func (c *coder) str(p *string) {
	if c.writing {
		c.putStr(*p)
	} else if c.present(false) {
		*p = c.readStr()
	}
}

func (c *coder) strOrEmpty(p *string) {
	if c.writing {
		c.putStr(*p)
	} else if c.present(true) {
		*p = c.readStr()
	}
}

func (c *coder) strOrNil(p **string) {
	switch {
	case c.writing && *p != nil:
		c.putStr(**p)
	case c.writing:
		c.putNil()
	case c.present(true) && !c.peekNil():
		s := c.readStr()
		*p = &s
	}
}

// bin is a bin that is kept as a string of bytes.
func (c *coder) bin(p *string) {
	if c.writing {
		c.binHead(len(*p))
		c.out = append(c.out, *p...)
	} else if c.present(false) {
		*p = c.readBin()
	}
}

func (c *coder) bytes(p *[]byte) {
	if c.writing {
		c.binHead(len(*p))
		c.out = append(c.out, *p...)
	} else if c.present(false) {
		*p = append([]byte{}, c.readBin()...)
	}
}

// bytesOrNil is a bin or nil; what is missing is nil unless required.
func (c *coder) bytesOrNil(p *[]byte, required bool) {
	switch {
	case c.writing && *p != nil:
		c.binHead(len(*p))
		c.out = append(c.out, *p...)
	case c.writing:
		c.putNil()
	case c.present(!required) && !c.peekNil():
		*p = append([]byte{}, c.readBin()...)
	}
}

func (c *coder) boolOrFalse(p *bool) {
	switch {
	case c.writing && *p:
		c.out = append(c.out, 0xc3)
	case c.writing:
		c.out = append(c.out, 0xc2)
	case c.present(true):
		*p = c.readBool()
	}
}

// Ext holds the extensions of a frame as they were encoded, so that nobody pays for what nobody reads. Empty: none.
type Ext string

// Again is the extension `again` of OPEN and PHASE: the same phase may follow in this session (SPEC 9.6).
const Again Ext = "\x81\xa5again\xc3"

// IsAgain tells whether the extension `again` is there and true.
func (e Ext) IsAgain() bool {
	if e == "" {
		return false
	}
	c := &coder{in: string(e)}
	for pairs := c.readMap(); pairs > 0 && c.err == nil; pairs-- {
		if c.readStr() == "again" && c.err == nil {
			return c.readBool() && c.err == nil
		}
		c.skip(1)
	}
	return false
}

func (c *coder) ext(p *Ext) {
	if c.writing {
		if *p == "" {
			c.out = append(c.out, 0x80)
		}
		c.out = append(c.out, *p...)
		return
	}
	if !c.present(true) {
		return
	}
	start := c.pos
	pairs := c.readMap()
	if c.err == nil && c.depth >= MaxDepth {
		c.fail(ErrDepth)
	}
	for n := pairs; n > 0 && c.err == nil; n-- {
		c.readStr()
		c.skip(c.depth + 1)
	}
	if pairs > 0 && c.err == nil {
		*p = Ext(c.in[start:c.pos])
	}
}

// enum is a number of a closed set, from low to high.
func enum[T ~uint8 | ~uint16](c *coder, p *T, low, high T) {
	if c.writing {
		c.putUint(uint64(*p))
	} else if c.present(false) {
		n := c.readUint(1 << 32)
		if c.err == nil && (n < uint64(low) || n > uint64(high)) {
			c.fail(ErrRange)
		}
		*p = T(n)
	}
}

// enumOr is the same with a value for a missing element.
func enumOr[T ~uint8](c *coder, p *T, low, high, missing T) {
	if !c.writing && c.err == nil && c.left == 0 {
		*p = missing
		return
	}
	enum(c, p, low, high)
}

// open is a number of an open set: unknown ones are read as another (SPEC 5.5).
func open[T ~uint8](c *coder, p *T, low, high, unknown T) {
	if c.writing {
		c.putUint(uint64(*p))
	} else if c.present(false) {
		n := c.readUint(1 << 53)
		*p = T(n)
		if n < uint64(low) || n > uint64(high) {
			*p = unknown
		}
	}
}

// list is an array of records.
func list[T any](c *coder, p *[]T, optional bool, item func(*coder, *T)) {
	if c.writing {
		c.arrayHead(len(*p))
		for i := range *p {
			item(c, &(*p)[i])
		}
		return
	}
	if !c.present(optional) {
		return
	}
	c.depth++
	n := c.readArray()
	if c.err == nil && c.depth > MaxDepth {
		c.fail(ErrDepth)
	}
	if n > 0 && c.err == nil {
		// Every item needs several bytes, so the length is believed only so far.
		*p = make([]T, 0, min(n, 1+(len(c.in)-c.pos)/2))
		outer := c.left
		for ; n > 0 && c.err == nil; n-- {
			var one T
			c.left = 1
			item(c, &one)
			*p = append(*p, one)
		}
		c.left = outer
	}
	c.depth--
}

// record is a nested array of n elements in the place of one.
func record(c *coder, n int, body func()) {
	if c.writing {
		c.arrayHead(n)
		body()
		return
	}
	if !c.present(false) {
		return
	}
	outer := c.begin(n)
	body()
	c.end(outer)
}

// recordOrNil is the same where nil may stand.
func recordOrNil[T any](c *coder, p **T, code func(*coder, *T)) {
	switch {
	case c.writing && *p == nil:
		c.putNil()
	case c.writing:
		code(c, *p)
	case c.err != nil || c.left == 0:
	case c.peekNil():
		c.left--
	default:
		*p = new(T)
		code(c, *p)
	}
}
