// What TLS listeners serve changes without a reload: certificates, CRLs, OCSP answers and ticket keys are
// read again when their files change, and the listeners' own ticket keys are exchanged as time goes. This is
// the main thread's side: it knows what each listener serves now and tells the workers when that changes;
// files are read and parsed on a thread of the pool, since a CRL can take a second.
// Owned by the server; kept by the listeners' names over reloads, so that tickets outlive them.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/background.h"
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
  struct Reading;
  struct Rereads {
    uint64_t taken = 0, refused = 0;
  };
  void changed(const std::vector<std::string>& paths);
  void adopt(Reading& reading);
  void watch();

  net::Loop& loop_;
  Publish publish_;
  std::map<std::string, std::unique_ptr<Listener>> listeners_;
  std::map<std::string, Rereads> rereads_;  // by listener, also of those that are gone
  net::FileWatch watch_;
  net::Background background_;  // reads files anew; nothing is watched meanwhile
};

}  // namespace penstock::server
