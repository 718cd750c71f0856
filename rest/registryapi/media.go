package registryapi

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// Media types of the API.
const (
	mediaV1   = "application/vnd.schemaregistry.v1+json"
	mediaAny  = "application/vnd.schemaregistry+json"
	mediaJSON = "application/json"
)

// produced are the types of answers with how much each is preferred.
var produced = []struct {
	media   string
	quality float64
}{{mediaV1, 1}, {mediaAny, 0.9}, {mediaJSON, 0.5}}

// negotiate checks the type of a request's body and chooses that of the
// answer.
func negotiate(r *http.Request) (string, error) {
	if given := r.Header.Get("Content-Type"); given != "" && r.ContentLength != 0 {
		media, _, err := mime.ParseMediaType(given)
		if err != nil {
			return "", errMediaType
		}
		switch media {
		case mediaV1, mediaAny, mediaJSON, "application/octet-stream":
		default:
			return "", errMediaType
		}
	}
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if accept == "" {
		return mediaV1, nil
	}
	best, at := "", 0.0
	for _, p := range produced {
		if q := quality(accept, p.media) * p.quality; q > at {
			best, at = p.media, q
		}
	}
	if best == "" {
		return "", errNotAcceptable
	}
	return best, nil
}

// quality returns how much an Accept header wants a type: the weight of the
// most specific range that it falls in.
func quality(accept, media string) float64 {
	q, specific := 0.0, 0
	for part := range strings.SplitSeq(accept, ",") {
		rng, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil {
			continue
		}
		level := 0
		switch rng {
		case media:
			level = 3
		case "application/*":
			level = 2
		case "*/*":
			level = 1
		}
		if level <= specific {
			continue
		}
		weight := 1.0
		if text, ok := params["q"]; ok {
			if weight, err = strconv.ParseFloat(text, 64); err != nil || weight < 0 || weight > 1 {
				continue
			}
		}
		q, specific = weight, level
	}
	return q
}
