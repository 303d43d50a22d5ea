// What TLS listeners serve changes without a reload: certificates, CRLs, OCSP answers and ticket keys are
// read again when their files change, and the listeners' own ticket keys are exchanged as time goes. This is
// the main thread's side: it knows what each listener serves now and tells the workers when that changes.
// Owned by the server; kept by the listeners' names over reloads, so that tickets outlive them.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/file_watch.h"
#include "net/loop.h"
#include "net/timer.h"
#include "net/tls_server.h"
#include "observe/prometheus.h"
#include "proxy/snapshot.h"
#include "server/door.h"

namespace penstock::server {

class Certificates {
 public:
  // Told with the listener's name; never inside a call of the owner's.
  using Publish = std::function<void(const std::string& listener, const TlsServing& serving)>;
  Certificates(net::Loop& loop, Publish publish);
  ~Certificates();

  // A snapshot's listeners take the place of those that were known.
  void apply(const proxy::Snapshot& snapshot);
  // Plain for a listener without TLS.
  TlsServing serving(const std::string& listener) const;
  void write_metrics(observe::PrometheusText& out) const;

 private:
  struct Listener;
  void changed(const std::vector<std::string>& paths);
  void reread(Listener& listener, const std::string& what);
  void watch();

  net::Loop& loop_;
  Publish publish_;
  std::map<std::string, std::unique_ptr<Listener>> listeners_;
  net::FileWatch watch_;
};

}  // namespace penstock::server
