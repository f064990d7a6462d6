//go:build !race && cgo

// Type-checking everything from source takes the race detector too long. Without cgo there is no NylonPlugin.

package sdk_test

import (
	"flag"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/api.txt again")

// TestAPI compares every exported name and its type with testdata: frozen.txt is what plugins of the existing gateway compile
// against and never changes, api.txt is everything.
func TestAPI(t *testing.T) {
	pkg, err := importer.ForCompiler(token.NewFileSet(), "source", nil).Import("github.com/AssetsArt/nylon/sdk/go/sdk")
	if err != nil {
		t.Fatal(err)
	}
	api := exported(pkg)
	if *update {
		if err := os.WriteFile("testdata/api.txt", []byte(strings.Join(api, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range lines(t, "testdata/frozen.txt") {
		if !slices.Contains(api, line) {
			t.Errorf("missing or changed, although plugins use it: %s", line)
		}
	}
	known := lines(t, "testdata/api.txt")
	for _, line := range known {
		if !slices.Contains(api, line) {
			t.Errorf("gone or changed: %s", line)
		}
	}
	for _, line := range api {
		if !slices.Contains(known, line) {
			t.Errorf("new, and not in testdata/api.txt (go test ./sdk -run TestAPI -update): %s", line)
		}
	}
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// exported is one line for each exported name, sorted. Names of parameters do not count.
func exported(pkg *types.Package) []string {
	var found []string
	add := func(format string, values ...any) { found = append(found, fmt.Sprintf(format, values...)) }
	name := func(t types.Type) string { return types.TypeString(t, types.RelativeTo(pkg)) }
	for _, each := range pkg.Scope().Names() {
		object := pkg.Scope().Lookup(each)
		if !object.Exported() {
			continue
		}
		switch o := object.(type) {
		case *types.Const:
			add("const %s %s = %s", o.Name(), name(o.Type()), o.Val().ExactString())
		case *types.Var:
			add("var %s %s", o.Name(), name(o.Type()))
		case *types.Func:
			add("func %s%s", o.Name(), signature(o.Signature(), name))
		case *types.TypeName:
			switch under := o.Type().Underlying().(type) {
			case *types.Struct:
				add("type %s struct", o.Name())
				for i := range under.NumFields() {
					if field := under.Field(i); field.Exported() {
						add("field %s.%s %s", o.Name(), field.Name(), typeOf(field.Type(), name))
					}
				}
			case *types.Interface:
				add("type %s interface", o.Name())
				for i := range under.NumMethods() {
					method := under.Method(i)
					add("method %s.%s%s", o.Name(), method.Name(), signature(method.Signature(), name))
				}
			default:
				add("type %s %s", o.Name(), typeOf(under, name))
			}
			named, ok := o.Type().(*types.Named)
			if !ok {
				continue
			}
			for i := range named.NumMethods() {
				if method := named.Method(i); method.Exported() {
					add("method (%s) %s%s", name(method.Signature().Recv().Type()), method.Name(), signature(method.Signature(), name))
				}
			}
		}
	}
	slices.Sort(found)
	return found
}

func typeOf(t types.Type, name func(types.Type) string) string {
	if function, ok := t.(*types.Signature); ok {
		return "func" + signature(function, name)
	}
	return name(t)
}

func signature(s *types.Signature, name func(types.Type) string) string {
	var out strings.Builder
	if params := s.TypeParams(); params.Len() > 0 {
		var list []string
		for i := range params.Len() {
			list = append(list, params.At(i).String()+" "+name(params.At(i).Constraint()))
		}
		out.WriteString("[" + strings.Join(list, ", ") + "]")
	}
	tuple := func(t *types.Tuple, variadic bool) string {
		var list []string
		for i := range t.Len() {
			one := typeOf(t.At(i).Type(), name)
			if variadic && i == t.Len()-1 {
				one = "..." + strings.TrimPrefix(one, "[]")
			}
			list = append(list, one)
		}
		return "(" + strings.Join(list, ", ") + ")"
	}
	out.WriteString(tuple(s.Params(), s.Variadic()))
	if results := s.Results(); results.Len() == 1 {
		out.WriteString(" " + strings.Trim(tuple(results, false), "()"))
		if function, ok := results.At(0).Type().(*types.Signature); ok {
			return strings.TrimSuffix(out.String(), strings.Trim(tuple(results, false), "()")) + typeOf(function, name)
		}
	} else if results.Len() > 1 {
		out.WriteString(" " + tuple(results, false))
	}
	return out.String()
}
