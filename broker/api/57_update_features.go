package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/wire"
)

// updateFeatures answers API 57, versions 0 to 1 (KIP-584). The levels of
// features are those of the program: a request for the level that there is
// succeeds, and any other is refused with the reason. v1 tells safe from
// unsafe downgrades and can validate only; either makes no difference here.
func (a *API) updateFeatures(_ context.Context, _ *wire.Conn, req *kmsg.UpdateFeaturesRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	seen := make(map[string]bool)
	for i := range req.FeatureUpdates {
		u := &req.FeatureUpdates[i]
		r := kmsg.NewUpdateFeaturesResponseResult()
		r.Feature = u.Feature
		err := updateFeature(u)
		if seen[u.Feature] {
			err = refuse(kerr.InvalidRequest, "feature is updated more than once")
		}
		seen[u.Feature] = true
		r.ErrorCode, r.ErrorMessage = a.code(req.Key(), err), message(err)
		resp.Results = append(resp.Results, r)
	}
	return resp, nil
}

func updateFeature(u *kmsg.UpdateFeaturesRequestFeatureUpdate) error {
	i := slices.IndexFunc(features, func(f feature) bool { return f.name == u.Feature })
	switch {
	case i < 0:
		return refuse(kerr.FeatureUpdateFailed, fmt.Sprintf("feature %s is not supported", u.Feature))
	case u.MaxVersionLevel != features[i].max:
		return refuse(kerr.FeatureUpdateFailed, fmt.Sprintf("%s is at level %d, which is that of this program: it changes with the program only", u.Feature, features[i].max))
	}
	return nil
}
