package metadata

// Change is what happened to one topic between two images. Before is nil for a
// new topic, After for a deleted one. A topic that was deleted and created
// again under its name is two changes, because its id differs.
type Change struct {
	Before, After *Topic
}

// Diff returns the topics that differ between two images, in no particular
// order. It works for any two images, neighbours or not, so a restored
// snapshot is handled like a single command. Parts that the images share are
// not looked at.
func Diff(before, after *Image) []Change {
	var out []Change
	for i := range shardCount {
		old, cur := before.byID.maps[i], after.byID.maps[i]
		if old == cur {
			continue
		}
		if old != nil {
			out = appendGone(out, *old, cur)
		}
		if cur == nil {
			continue
		}
		for id, t := range *cur {
			var was *Topic
			if old != nil {
				was = (*old)[id]
			}
			if was != t {
				out = append(out, Change{was, t})
			}
		}
	}
	return out
}

func appendGone(out []Change, old map[string]*Topic, cur *map[string]*Topic) []Change {
	for id, t := range old {
		if cur != nil {
			if _, ok := (*cur)[id]; ok {
				continue
			}
		}
		out = append(out, Change{t, nil})
	}
	return out
}
