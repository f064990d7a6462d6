package sdktest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// Join makes the WebSocket a member of a room.
func (s *socket) Join(room string) error {
	if err := session.RoomName(room); err != nil {
		return err
	}
	s.mu.Lock() // before the plugin's, always
	defer s.mu.Unlock()
	if s.closed {
		return session.ErrClosed
	}
	p := s.session.plugin
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.rooms[room], s) {
		p.rooms[room] = append(p.rooms[room], s)
	}
	return nil
}

// Leave ends the membership.
func (s *socket) Leave(room string) error {
	if err := session.RoomName(room); err != nil {
		return err
	}
	s.session.plugin.leave(room, s)
	return nil
}

// Broadcast sends to every member of a room. The last callback may do it, too.
func (s *socket) Broadcast(room string, binary bool, data []byte) error {
	if err := errors.Join(session.RoomName(room), session.Sendable(binary, data)); err != nil {
		return err
	}
	if most := wire.MaxChunk - 1; len(data) > most { // SPEC 14.12
		return fmt.Errorf("%d bytes are too many for a room, %d may be", len(data), most)
	}
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	if done {
		return session.ErrClosed
	}
	p := s.session.plugin
	p.speaking.Lock() // every member hears the messages in one order
	defer p.speaking.Unlock()
	p.mu.Lock()
	members := slices.Clone(p.rooms[room])
	p.mu.Unlock()
	for _, member := range members {
		member.give(binary, data)
	}
	return nil
}

// leaveAll is the end of a WebSocket.
func (p *Plugin) leaveAll(s *socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for room, members := range p.rooms {
		p.rooms[room] = slices.DeleteFunc(members, func(member *socket) bool { return member == s })
	}
}

func (p *Plugin) leave(room string, s *socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rooms[room] = slices.DeleteFunc(p.rooms[room], func(member *socket) bool { return member == s })
}
