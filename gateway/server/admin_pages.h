// The admin API: what an operator may ask of a running gateway. On a unix socket, whose mode says who may.
// Paths begin with /v1; answers are JSON. Asks the server through AdminSource.
#pragma once
#include <vector>

#include "admin/plugin_report.h"
#include "server/local_service.h"

namespace penstock::server {

class AdminSource {
 public:
  virtual std::vector<admin::PluginFacts> plugin_facts() = 0;

 protected:
  ~AdminSource() = default;
};

class AdminPages final : public LocalHandler {
 public:
  explicit AdminPages(AdminSource& source) : source_(source) {}
  void serve(std::string_view path, std::function<void(LocalAnswer)> done) override;

 private:
  AdminSource& source_;
};

}  // namespace penstock::server
