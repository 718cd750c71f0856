package api

import (
	"context"
	"regexp"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/wire"
)

const keyApiVersions = 18

// software is what a client may call itself (KIP-511).
var software = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

// apiVersions answers API 18, versions 0 to 4: what is served. v1 adds the
// throttle time; v3 is flexible, names the client's software and tells of
// features. A version that is not known is answered in version 0 with error 35
// and the table, so that the client can choose again (KIP-511).
//
// Produce is advertised from version 0 on although 0 to 2 are refused: older
// librdkafka compresses only if it sees version 0 (KAFKA-18659).
func (a *API) apiVersions(_ context.Context, _ *wire.Conn, r *wire.Request, req *kmsg.ApiVersionsRequest) (wire.Reply, error) {
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	switch {
	case r.Version != req.Version:
		resp.ErrorCode = kerr.UnsupportedVersion.Code
	case req.Version >= 3 && (!software.MatchString(req.ClientSoftwareName) || !software.MatchString(req.ClientSoftwareVersion)):
		resp.ErrorCode = kerr.InvalidRequest.Code
		return wire.Ready(resp), nil
	}
	for i := range a.routes {
		if a.routes[i].handle == nil {
			continue
		}
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = a.routes[i].key, a.routes[i].min, a.routes[i].max
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	addFeatures(resp, int64(a.cfg.Controller.Image().Index))
	return wire.Ready(resp), nil
}
