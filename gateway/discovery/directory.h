// The current endpoint set of every upstream, kept over reloads: an upstream whose endpoints or discovery
// stayed as they were keeps its provider and what that has learned. Owned by the server; main thread.
// Subscribers hand the sets to the workers.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "discovery/provider.h"

namespace penstock::discovery {

class Directory {
 public:
  using Set = std::shared_ptr<const upstream::EndpointSet>;
  // Called for each set that replaces another, in order; it must not call apply().
  using Changed = std::function<void(const std::string& upstream, Set set)>;

  explicit Directory(Sources sources);
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  // The upstreams of a new configuration. What stays and did not change goes on; a changed one keeps its old
  // set until the new provider has one with an address, unless its protocol or TLS changed too: then it has
  // none until then, since nobody may be spoken to in a way that was written for others; one that is gone is
  // forgotten without a word to the subscribers, since exchanges may still use its last set. Subscribers hear
  // of static sets inside.
  void apply(const std::vector<config::Upstream>& upstreams);

  void subscribe(Changed changed);  // for good; not called for what is there already: see current()
  Set current(const std::string& upstream) const;  // never null; empty while nothing is known

  // Upstreams that have no endpoint with an address yet: the first answers are still to come.
  size_t unresolved() const;

 private:
  struct Entry;
  void publish(const std::string& upstream, Set set);
  void replace(const std::string& upstream, Set set);

  Sources sources_;
  std::map<std::string, std::unique_ptr<Entry>> entries_;
  std::vector<Changed> subscribers_;
};

}  // namespace penstock::discovery
