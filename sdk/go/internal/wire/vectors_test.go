package wire

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

type vector struct {
	Name  string          `json:"name"`
	Hex   string          `json:"hex"`
	Error string          `json:"error"`
	Value json.RawMessage `json:"value"`
}

func vectors(t testing.TB, kind string) map[string][]vector {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("../../../../protocol/vectors", kind, "*.json"))
	if err != nil || len(paths) < 20 {
		t.Fatalf("reading vectors/%s: %d files, %v", kind, len(paths), err)
	}
	all := map[string][]vector{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Frame string   `json:"frame"`
			Cases []vector `json:"cases"`
		}
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[file.Frame] = file.Cases
	}
	return all
}

func unhex(t testing.TB, text string) string {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestValidVectors(t *testing.T) {
	for frame, cases := range vectors(t, "valid") {
		for _, v := range cases {
			t.Run(frame+"/"+v.Name, func(t *testing.T) {
				raw := unhex(t, v.Hex)
				decoded := sameValue(t, raw, v)
				if got := hex.EncodeToString(Append(nil, decoded)); got != v.Hex {
					t.Errorf("encoded\n%s, want\n%s", got, v.Hex)
				}
			})
		}
	}
}

func TestFutureVectors(t *testing.T) {
	for frame, cases := range vectors(t, "future") {
		for _, v := range cases {
			t.Run(frame+"/"+v.Name, func(t *testing.T) { sameValue(t, unhex(t, v.Hex), v) })
		}
	}
}

func TestInvalidVectors(t *testing.T) {
	want := map[string]error{
		"truncated": ErrTruncated, "trailing": ErrTrailing, "type": ErrType, "utf8": ErrUTF8, "depth": ErrDepth,
		"range": ErrRange, "missing": ErrMissing, "session_id": ErrSessionID, "unknown_frame": ErrUnknownFrame,
		"unknown_operation": ErrUnknownOperation, "version": ErrVersion,
	}
	for frame, cases := range vectors(t, "invalid") {
		for _, v := range cases {
			t.Run(frame+"/"+v.Name, func(t *testing.T) {
				_, err := Decode(unhex(t, v.Hex))
				if err == nil {
					t.Fatalf("%s was accepted", v.Hex)
				}
				if err != want[v.Error] {
					t.Errorf("refused with %q, the vector says %s", err, v.Error)
				}
			})
		}
	}
}

func sameValue(t *testing.T, raw string, v vector) Frame {
	t.Helper()
	decoded, err := Decode(raw)
	if err != nil {
		t.Fatalf("%s: %v", v.Hex, err)
	}
	var want any
	if err := json.Unmarshal(v.Value, &want); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(value(reflect.ValueOf(decoded).Elem()))
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decoded\n%s, want\n%s", text, v.Value)
	}
	return decoded
}

func FuzzDecode(f *testing.F) {
	for _, kind := range []string{"valid", "future", "invalid"} {
		for _, cases := range vectors(f, kind) {
			for _, v := range cases {
				f.Add([]byte(unhex(f, v.Hex)))
			}
		}
	}
	found, err := os.ReadFile("../../../../protocol/corpus/frames.hex")
	if err != nil {
		f.Fatal(err)
	}
	for _, line := range strings.Fields(string(found)) {
		f.Add([]byte(unhex(f, line)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		Peek(string(data))
		frame, err := Decode(string(data))
		if err != nil {
			return
		}
		again := Append(nil, frame)
		second, err := Decode(string(again))
		if err != nil {
			t.Fatalf("%x was read and written as %x, which is refused: %v", data, again, err)
		}
		if third := Append(nil, second); string(third) != string(again) {
			t.Fatalf("written as %x, then as %x", again, third)
		}
	})
}

func FuzzEscape(f *testing.F) {
	f.Add("auth")
	f.Add("a.b >*é")
	seen := map[string]string{}
	f.Fuzz(func(t *testing.T, name string) {
		token, err := Escape(name)
		if (err != nil) != (name == "") {
			t.Fatalf("%q: %v", name, err)
		}
		if strings.ContainsAny(token, ".*> ") {
			t.Fatalf("%q became %q", name, token)
		}
		if other, ok := seen[token]; ok && other != name {
			t.Fatalf("%q and %q have one token", name, other)
		}
		if len(seen) < 1_000 {
			seen[token] = name
		}
	})
}

func TestSubjects(t *testing.T) {
	got, err := Subject("team.nylon", "open", "a.b", "é")
	if err != nil || got != "team.nylon.v1.open.a=2Eb.=C3=A9" {
		t.Errorf("%q, %v", got, err)
	}
	for _, prefix := range []string{"", "a..b", "a b", "é", "a."} {
		if _, err := Subject(prefix, "open", "a"); err != ErrPrefix {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
	if _, err := Subject("nylon", "open", ""); err != ErrName {
		t.Errorf("an empty name: %v", err)
	}
	fits := strings.Repeat("a", MaxSubject-len("nylon.v1.open."))
	if _, err := Subject("nylon", "open", fits); err != nil {
		t.Errorf("the longest name: %v", err)
	}
	for _, name := range []string{fits + "a", strings.Repeat("é", MaxSubject/6)} {
		if _, err := Subject("nylon", "open", name); err != ErrLength {
			t.Errorf("a longer name: %v", err)
		}
	}
}

func TestServiceNames(t *testing.T) {
	// The hashes are FNV-1a of the group's UTF-8 bytes (SPEC 2.4).
	for group, want := range map[string]string{"auth_workers": "auth_workers", "a": "a", "a.b": "a_b-SUM"} {
		if group == "a.b" {
			sum := uint32(2166136261)
			for _, b := range []byte(group) {
				sum = (sum ^ uint32(b)) * 16777619
			}
			want = fmt.Sprintf("a_b-%08x", sum)
		}
		if got := ServiceName(group); got != want {
			t.Errorf("%q became %q, want %q", group, got, want)
		}
	}
}

func TestAppendBatch(t *testing.T) {
	for _, frames := range [][]string{{"a"}, {"", "bc", strings.Repeat("d", 300)}} {
		var all []byte
		var ends []int
		for _, frame := range frames {
			all = append(all, frame...)
			ends = append(ends, len(all))
		}
		if got, want := AppendBatch(nil, all, ends), Append(nil, &Batch{Frames: frames}); string(got) != string(want) {
			t.Errorf("%x, want %x", got, want)
		}
	}
}

func BenchmarkDecodeOpen(b *testing.B) {
	raw := []byte(unhex(b, vectors(b, "valid")["OPEN"][0].Hex))
	b.ReportAllocs()
	for range b.N {
		if _, err := Decode(string(raw)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendResult(b *testing.B) {
	frame, err := Decode(unhex(b, vectors(b, "valid")["RESULT"][1].Hex))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var out []byte
	for range b.N {
		out = Append(out[:0], frame)
	}
}
