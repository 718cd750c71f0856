package client

import (
	"crypto/tls"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
)

// httpsPrefix leads to the TLS settings of a worker's REST API. If any is set,
// the plain ssl settings do not count there, as in Kafka Connect.
const httpsPrefix = "listeners.https."

// ClientAuth is the key that says whether those who connect must show a
// certificate.
const ClientAuth = "ssl.client.auth"

// restProps are the TLS settings of the REST API among a worker's, and the
// prefix that they are set with.
func restProps(props map[string]string) (out map[string]string, prefix string) {
	out = map[string]string{}
	for k, v := range props {
		if rest, ok := strings.CutPrefix(k, httpsPrefix); ok {
			out[rest] = v
		}
	}
	if len(out) > 0 {
		return out, httpsPrefix
	}
	for k, v := range props {
		if strings.HasPrefix(k, "ssl.") {
			out[k] = v
		}
	}
	return out, ""
}

// under names problems by the keys as they were set.
func under(prefix string, problems []configdef.Problem) []configdef.Problem {
	for i := range problems {
		problems[i].Text = strings.ReplaceAll(problems[i].Text, problems[i].Key, prefix+problems[i].Key)
		problems[i].Key = prefix + problems[i].Key
	}
	return problems
}

// ServerTLS makes the TLS settings of a worker's HTTPS listeners.
func ServerTLS(props map[string]string) (*tls.Config, []configdef.Problem) {
	own, prefix := restProps(props)
	cfg, problems := keys.Parse(pick(own, keys))
	if len(problems) > 0 {
		return nil, under(prefix, problems)
	}
	out, problems := tlsOf(cfg)
	// What holds of the certificates of others are settings of a client here.
	out.InsecureSkipVerify, out.VerifyConnection = false, nil
	if len(problems) == 0 && len(out.Certificates) == 0 {
		problems = append(problems, problem("ssl.keystore.location", "an https listener needs a key and a certificate: none is set"))
	}
	out.ClientCAs = out.RootCAs
	switch strings.ToLower(strings.TrimSpace(own[ClientAuth])) {
	case "", "none":
	case "requested":
		out.ClientAuth = tls.VerifyClientCertIfGiven
	case "required":
		out.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		problems = append(problems, problem(ClientAuth, "String must be one of (case insensitive): none, requested, required"))
	}
	return out, under(prefix, problems)
}

// RequestTLS makes the TLS settings by which a worker reaches the REST API of
// others.
func RequestTLS(props map[string]string) (*tls.Config, []configdef.Problem) {
	own, prefix := restProps(props)
	cfg, problems := keys.Parse(pick(own, keys))
	if len(problems) > 0 {
		return nil, under(prefix, problems)
	}
	out, problems := tlsOf(cfg)
	return out, under(prefix, problems)
}
