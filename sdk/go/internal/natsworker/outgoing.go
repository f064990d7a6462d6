package natsworker

import (
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// outgoing is what waits to be published: frames for the same gateway thread that are ready together share a message
// (SPEC 4.11, 4.12).
type outgoing struct {
	messages []message
	batches  []*outBatch
	spare    [][]byte // buffers of messages that are sent
}

// buffer is an empty buffer.
func (o *outgoing) buffer() []byte {
	last := len(o.spare) - 1
	if last < 0 {
		return make([]byte, 0, 4096)
	}
	buffer := o.spare[last]
	o.spare = o.spare[:last]
	return buffer[:0]
}

// give takes a buffer back that is used no more.
func (o *outgoing) give(buffer []byte) {
	if len(o.spare) < 16 && cap(buffer) <= 2*wire.MaxBatch {
		o.spare = append(o.spare, buffer)
	}
}

type message struct {
	subject, reply string
	payload        []byte
}

// outBatch holds frames for one gateway thread, in their order.
type outBatch struct {
	subject string // where the first frame goes
	gateway string
	frames  []byte
	ends    []int
}

const (
	// batchOverhead is what a BATCH needs for each frame besides its bytes, at most.
	batchOverhead = 5
	// keptBatches: more gateway threads than this are not remembered between two turns.
	keptBatches = 64
)

// frame queues a session frame.
func (o *outgoing) frame(gateway, subject string, frame wire.Frame, most int) {
	batch := o.batchFor(gateway)
	if batch.frames == nil {
		batch.frames = o.buffer()
	}
	start := len(batch.frames)
	batch.frames = wire.Append(batch.frames, frame)
	if start > 0 && len(batch.frames)+batchOverhead*(len(batch.ends)+2) > most {
		// What does not fit goes into a message after this one, so that the order is kept.
		last := append([]byte(nil), batch.frames[start:]...)
		batch.frames = batch.frames[:start]
		o.close(batch)
		batch.frames = last
	}
	if len(batch.ends) == 0 {
		batch.subject = subject
	}
	batch.ends = append(batch.ends, len(batch.frames))
}

func (o *outgoing) batchFor(gateway string) *outBatch {
	for _, batch := range o.batches {
		if batch.gateway == gateway {
			return batch
		}
	}
	if len(o.batches) >= keptBatches {
		o.closeAll()
		o.batches = nil
	}
	batch := &outBatch{gateway: gateway}
	o.batches = append(o.batches, batch)
	return batch
}

// alone queues a message that is never part of a batch.
func (o *outgoing) alone(subject, reply string, frame wire.Frame) {
	o.messages = append(o.messages, message{subject, reply, wire.Append(o.buffer(), frame)})
}

// close makes a message of a batch.
func (o *outgoing) close(batch *outBatch) {
	switch len(batch.ends) {
	case 0:
		return
	case 1:
		o.messages = append(o.messages, message{subject: batch.subject, payload: batch.frames})
	default:
		payload := wire.AppendBatch(o.buffer(), batch.frames, batch.ends)
		o.messages = append(o.messages, message{subject: batch.subject, payload: payload})
		o.give(batch.frames)
	}
	batch.frames, batch.ends = nil, batch.ends[:0]
}

func (o *outgoing) closeAll() {
	for _, batch := range o.batches {
		o.close(batch)
	}
}

// takeAll gives every message that waits, in order.
func (o *outgoing) takeAll() []message {
	o.closeAll()
	messages := o.messages
	o.messages = nil
	return messages
}
