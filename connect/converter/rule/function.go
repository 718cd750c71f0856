package rule

import (
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// functions are what Confluent's rules may ask of a text besides what CEL
// knows.
var functions = []struct {
	name, snake string
	is          func(string) bool
}{
	{"isEmail", "is_email", isEmail}, {"isHostname", "is_hostname", isHostname},
	{"isIpv4", "is_ipv4", func(s string) bool { a, err := netip.ParseAddr(s); return err == nil && a.Is4() }},
	{"isIpv6", "is_ipv6", func(s string) bool { a, err := netip.ParseAddr(s); return err == nil && a.Is6() }},
	{"isUri", "is_uri", func(s string) bool { u, err := url.Parse(s); return err == nil && u.IsAbs() }},
	{"isUriRef", "is_uri_ref", func(s string) bool { _, err := url.Parse(s); return err == nil }},
	{"isUuid", "is_uuid", regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`).MatchString},
}

func isEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}

var hostLabel = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)

func isHostname(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 || net.ParseIP(s) != nil {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !hostLabel.MatchString(label) {
			return false
		}
	}
	return true
}

func options(vars ...cel.EnvOption) []cel.EnvOption {
	out := vars
	for _, f := range functions {
		for _, name := range []string{f.name, f.snake} {
			out = append(out, cel.Function(name, cel.MemberOverload("string_"+name, []*cel.Type{cel.StringType}, cel.BoolType,
				cel.UnaryBinding(func(v ref.Val) ref.Val {
					s, ok := v.Value().(string)
					return types.Bool(ok && f.is(s))
				}))))
		}
	}
	return out
}

var messageEnv = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(options(cel.Variable("message", cel.DynType))...)
})

var fieldEnv = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(options(
		cel.Variable("message", cel.DynType), cel.Variable("value", cel.DynType), cel.Variable("fullName", cel.StringType),
		cel.Variable("name", cel.StringType), cel.Variable("typeName", cel.StringType), cel.Variable("tags", cel.ListType(cel.StringType)),
	)...)
})

// environment is what expressions know, of a message or of its fields.
func environment(field bool) (*cel.Env, error) {
	if field {
		return fieldEnv()
	}
	return messageEnv()
}
