// Calls of gRPC by route and method: of one worker, or the sum of all. Methods come from clients' paths, so
// only such count by name that a backend has answered with OK; to any path it may say UNAUTHENTICATED. All
// else of a route is "_OTHER", and so is what is new past max_methods, in a worker's share as in the sum.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/grpc_status.h"
#include "observe/histogram.h"

namespace penstock::observe {

struct CallKey {
  std::string route;
  std::string path;  // "/SERVICE/METHOD"; empty: _OTHER
};
struct CallKeyView {
  std::string_view route, path;
  auto operator<=>(const CallKeyView&) const = default;
};

class CallMetrics {
 public:
  static constexpr size_t max_methods = 1'000;
  static constexpr size_t status_count = static_cast<size_t>(GrpcStatus::unauthenticated) + 1;

  struct Method {
    std::array<uint64_t, status_count> statuses{};
    Histogram duration;
  };
  struct Less {
    using is_transparent = void;
    static CallKeyView view(const CallKey& key) { return {key.route, key.path}; }
    static CallKeyView view(const CallKeyView& key) { return key; }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return view(a) < view(b);
    }
  };
  using Methods = std::map<CallKey, Method, Less>;

  // The worker's thread. Allocates only for a method that it sees for the first time.
  enum class Said : uint8_t { by_backend, by_gateway };
  void record(std::string_view route, std::string_view path, GrpcStatus status, Said said, int64_t ns);
  const Methods& methods() const { return methods_; }
  void merge(const CallMetrics& other);

 private:
  Methods methods_;
};

}  // namespace penstock::observe
