package httpsink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/sdk"
)

// tokenSettings say where OAuth2 access tokens are got, by client credentials.
type tokenSettings struct {
	url, urlKey                          string
	id, secret, scope                    string
	inBody                               bool // id and secret are in the body, not in a header
	property                             string
	grant, grantName, idName, secretName string
}

// tokenKeys are the keys of both dialects; some have names of their own.
func tokenKeys(address, mode, property string) sdk.ConfigDef {
	const who = "Authentication"
	return sdk.ConfigDef{
		{Name: address, Type: sdk.String, Default: "", Check: checkURL, Group: who, Doc: "Where access tokens are got."},
		{Name: "oauth2.client.id", Type: sdk.String, Default: "", Group: who, Doc: "Client id."},
		{Name: "oauth2.client.secret", Type: sdk.Password, Default: "", Group: who, Doc: "Client secret."},
		{Name: "oauth2.client.scope", Type: sdk.String, Default: "", Group: who, Doc: "Scope to ask for."},
		{Name: mode, Type: sdk.String, Default: "HEADER", Rules: []configdef.Rule{configdef.OneOfFold("HEADER", "URL")}, Group: who, Doc: "Whether id and secret are in a header, or in the body of the request for a token."},
		{Name: property, Type: sdk.String, Default: "access_token", Rules: []configdef.Rule{configdef.NonEmpty()}, Group: who, Doc: "Where the answer has the token."},
	}
}

func newTokenSettings(cfg sdk.Config, address, mode, property string) tokenSettings {
	return tokenSettings{
		url: cfg.String(address), urlKey: address, id: cfg.String("oauth2.client.id"), secret: cfg.String("oauth2.client.secret"), scope: cfg.String("oauth2.client.scope"),
		inBody: strings.EqualFold(cfg.String(mode), "URL"), property: cfg.String(property),
		grant: "client_credentials", grantName: "grant_type", idName: "client_id", secretName: "client_secret",
	}
}

func (t *tokenSettings) check(p *parser, a auth) {
	if a != oauth2Auth {
		return
	}
	for key, value := range map[string]string{t.urlKey: t.url, "oauth2.client.id": t.id, "oauth2.client.secret": t.secret} {
		if value == "" {
			p.bad(key, errors.New("OAuth2 needs it"))
		}
	}
}

// The bounds on tokens.
const (
	maxTokenAnswer = 64 << 10
	// tokenMargin is how long before its end a token is not used any more.
	tokenMargin = 10 * time.Second
)

// token is an access token and when it ends; the zero time is never.
type token struct {
	text string
	ends time.Time
}

func (t token) usable(now time.Time) bool {
	return t.text != "" && (t.ends.IsZero() || now.Before(t.ends.Add(-tokenMargin)))
}

// fetch gets a token.
func (t *tokenSettings) fetch(ctx context.Context, client *http.Client, now time.Time) (token, error) {
	form := url.Values{t.grantName: {t.grant}}
	if t.scope != "" {
		form.Set("scope", t.scope)
	}
	if t.inBody {
		form.Set(t.idName, t.id)
		form.Set(t.secretName, t.secret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, strings.NewReader(form.Encode()))
	if err != nil {
		return token{}, sdk.Fatal(errors.New("the address of tokens is none"))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if !t.inBody {
		req.SetBasicAuth(t.id, t.secret) // as they are, as Java's connectors send them
	}
	resp, err := client.Do(req)
	if err != nil {
		return token{}, &transient{err: fmt.Errorf("get a token: %w", plain(err))}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer))
	switch {
	case err != nil:
		return token{}, &transient{err: fmt.Errorf("get a token: %w", plain(err))}
	case passing(resp.StatusCode):
		return token{}, &transient{err: fmt.Errorf("get a token: HTTP %d", resp.StatusCode), after: retryAfter(resp.Header, now)}
	case resp.StatusCode/100 != 2:
		return token{}, sdk.Fatal(fmt.Errorf("the token service answers HTTP %d: check %s, oauth2.client.id and oauth2.client.secret", resp.StatusCode, t.urlKey))
	}
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil {
		return token{}, sdk.Fatal(errors.New("the token service does not answer with a JSON object"))
	}
	out := token{}
	if out.text, _ = answer[t.property].(string); out.text == "" || strings.ContainsAny(out.text, "\r\n\x00") {
		return token{}, sdk.Fatal(fmt.Errorf("the token service's answer has no text %q", t.property))
	}
	if seconds, ok := answer["expires_in"].(float64); ok && seconds > 0 && seconds < 1e9 {
		out.ends = now.Add(time.Duration(seconds * float64(time.Second)))
	}
	return out, nil
}
