package wire

import (
	"encoding/hex"
	"reflect"
	"strings"
)

var enumNames = map[string][]string{
	"Phase":       {"", "RequestFilter", "ResponseFilter", "ResponseBodyFilter", "Logging"},
	"Action":      {"", "Next", "End"},
	"DataKind":    {"Body", "Stream", "Text", "Binary"},
	"BodyMode":    {"Buffered", "Streaming"},
	"Outcome":     {"Ok", "Abort"},
	"AbortReason": {"", "ClientGone", "Timeout", "Stale", "Gap", "WorkerShutdown", "GatewayShutdown", "Protocol"},
	"BusyReason":  {"", "Full", "Draining", "Initializing"},
	"WorkerState": {"Ready", "Initializing", "FailedFirst", "FailedKeepingOld"},
}

var fetchNames = map[FetchKind]string{107: "ResponseBody", 200: "RequestBody", 400: "Config", 401: "OpenRest", 402: "RequestStream", 403: "ResponseStream"}

// Fields that are bin on the wire although they are kept as strings.
var binFields = map[string]bool{"Header.Value": true, "Revision.Hash": true, "Batch.Frames": true, "Operation.Value": true}

// value is a frame as the vectors write it (SPEC 25.4).
func value(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case SessionID:
		return x.String()
	case Optional:
		if !x.Set {
			return nil
		}
		return x.N
	case Ext:
		if x == "" {
			return map[string]any{}
		}
		rest := string(x)
		return generic(&coder{in: rest})
	case FetchKind:
		return fetchNames[x]
	case []byte:
		if x == nil {
			return nil
		}
		return hex.EncodeToString(x)
	case Operation:
		return operation(x)
	case WsOperation:
		return wsOperation(x)
	}
	if names, ok := enumNames[v.Type().Name()]; ok {
		return names[v.Uint()]
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return value(v.Elem())
	case reflect.Slice:
		items := []any{}
		for i := range v.Len() {
			items = append(items, value(v.Index(i)))
		}
		return items
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			inner := value(v.Field(i))
			if name == "Head" {
				for key, value := range inner.(map[string]any) {
					fields[key] = value
				}
				continue
			}
			if binFields[v.Type().Name()+"."+name] {
				inner = hexed(inner)
			}
			fields[snake(name)] = inner
		}
		return fields
	default:
		return v.Interface()
	}
}

func hexed(v any) any {
	switch x := v.(type) {
	case string:
		return hex.EncodeToString([]byte(x))
	case []any:
		for i := range x {
			x[i] = hexed(x[i])
		}
	}
	return v
}

func operation(o Operation) any {
	fields := map[string]any{"number": o.Number}
	switch o.Number {
	case OpSetResponseStatus:
		fields["status"] = o.Status
	case OpSetResponseFullBody:
		fields["bytes"] = value(reflect.ValueOf(o.Bytes))
		if o.Bytes == nil {
			fields["id"], fields["total"] = o.ID, o.Total
		}
	case OpRemoveRequestHeader, OpRemoveResponseHeader:
		fields["name"] = o.Name
	default:
		fields["name"], fields["value"] = o.Name, hex.EncodeToString([]byte(o.Value))
	}
	return fields
}

func wsOperation(o WsOperation) any {
	fields := map[string]any{"number": o.Number}
	switch o.Number {
	case WsClose:
		fields["code"], fields["reason"] = o.Code, o.Reason
	case WsJoinRoom, WsLeaveRoom:
		fields["room"] = o.Room
	default:
		fields["room"], fields["message"] = o.Room, hex.EncodeToString(o.Message)
	}
	return fields
}

// generic reads any value that JSON can say.
func generic(c *coder) any {
	switch b := c.in[c.pos]; {
	case b == 0xc0:
		c.pos++
		return nil
	case b == 0xc2 || b == 0xc3:
		return c.readBool()
	case b&0xf0 == 0x80:
		pairs := map[string]any{}
		for n := c.readMap(); n > 0; n-- {
			key := c.readStr()
			inner := generic(c)
			if _, known := pairs[key]; !known {
				pairs[key] = inner
			}
		}
		return pairs
	case b&0xf0 == 0x90:
		items := []any{}
		for n := c.readArray(); n > 0; n-- {
			items = append(items, generic(c))
		}
		return items
	case b&0xe0 == 0xa0 || b >= 0xd9 && b <= 0xdb:
		return c.readStr()
	default:
		return c.readUint(1 << 53)
	}
}

var acronyms = strings.NewReplacer("ID", "Id", "IP", "Ip", "TLS", "Tls")

func snake(name string) string {
	var out strings.Builder
	for i, r := range acronyms.Replace(name) {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				out.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		out.WriteRune(r)
	}
	return out.String()
}
