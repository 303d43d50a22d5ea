// The status listener: /livez, /readyz and /metrics for kubelets and Prometheus, read only and without a
// token. Never tells a consumer's name, a configuration or a request. Asks the server through StatusSource.
#pragma once
#include <functional>
#include <string>

#include "server/local_service.h"

namespace penstock::server {

class StatusSource {
 public:
  // Whether traffic should be sent here; called once for each /readyz.
  virtual bool ready() = 0;
  // The metrics as Prometheus text, later.
  virtual void collect(std::function<void(std::string)> done) = 0;

 protected:
  ~StatusSource() = default;
};

class StatusPages final : public LocalHandler {
 public:
  explicit StatusPages(StatusSource& source) : source_(source) {}
  void serve(std::string_view path, std::function<void(LocalAnswer)> done) override;

 private:
  StatusSource& source_;
};

}  // namespace penstock::server
