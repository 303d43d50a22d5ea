// The type basic: what it makes of the host's users, pool and workers. What lies below is in basic_test.cpp.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "plugins/harness.h"

using namespace penstock::plugin;
using namespace penstock::plugin::testing;
using penstock::proxy::AuthVerdict;

namespace {

// Of "swordfish", with the least cost there is.
constexpr const char* hash = "$2b$04$XSkM0lC2SFFM1.mByWP.MeHOGypYfZLVpUTGKlX5mAVrJMyepd3F.";
constexpr const char* ann = "Basic YW5uOnN3b3JkZmlzaA==";        // ann:swordfish
constexpr const char* ann_wrong = "Basic YW5uOnN3b3JkZmlzaDI=";  // ann:swordfish2
constexpr const char* eve = "Basic ZXZlOnN3b3JkZmlzaA==";        // eve:swordfish

struct Basic : World {
  explicit Basic(const char* settings = "{}", const char* password = hash) {
    REQUIRE(load(shipped("auth")) == "");
    auto all = std::make_shared<penstock::config::Config>();
    all->consumers.resize(1);
    all->consumers[0].name = "app";
    all->consumers[0].basic.push_back({"ann", penstock::config::Secret(password), {}});
    configuration = all;
    consumer("app");
    filter = make("basic", "users", settings);
  }
  // "app", "absent", "401 REASON"; " (hashed)" behind it when the pool had to be asked.
  std::string judge(std::vector<const char*> fields) {
    Request r(*this);
    for (const char* field : fields) r.header("authorization", field);
    AuthVerdict verdict = r.auth(*filter);
    const bool hashed = verdict == AuthVerdict::pause;
    if (hashed) {
      loop.run();
      REQUIRE(r.resumed);
      verdict = filter->authenticate_resume(r.call(*filter), r.resume_data);
    }
    std::string out = verdict == AuthVerdict::accept   ? r.context.auth.consumer->name
                      : verdict == AuthVerdict::absent ? "absent"
                                                       : std::to_string(r.context.auth.refuse_status) + " " +
                                                             std::string(r.context.auth.refuse_reason);
    return hashed ? out + " (hashed)" : out;
  }
  penstock::proxy::Filter* filter = nullptr;
};

}  // namespace

TEST_CASE("a password is hashed off the worker, once, and remembered when it was right") {
  Basic w;
  REQUIRE_MESSAGE(w.filter != nullptr, w.messages());
  CHECK(w.judge({ann}) == "app (hashed)");
  CHECK(w.judge({ann}) == "app");
  CHECK(w.judge({ann_wrong}) == "401 auth.basic.unknown (hashed)");
  CHECK(w.judge({ann_wrong}) == "401 auth.basic.unknown (hashed)");
  CHECK(w.judge({eve}) == "401 auth.basic.unknown (hashed)");
  CHECK(w.judge({ann}) == "app");
  CHECK(w.counted("penstock_auth_decisions_total", "users", "accept") == 3);
  CHECK(w.counted("penstock_auth_decisions_total", "users", "refuse") == 3);
  CHECK(w.filter->challenge() == "Basic realm=\"users\", charset=\"UTF-8\"");
  CHECK(w.filter->credential_headers() == std::vector<std::string>{"authorization"});
}

TEST_CASE("what is no Basic credential, or more than one, is never hashed") {
  Basic w;
  REQUIRE(w.filter != nullptr);
  CHECK(w.judge({}) == "absent");
  CHECK(w.judge({"Bearer abc"}) == "absent");
  CHECK(w.judge({"Basic !"}) == "401 auth.basic.malformed");
  CHECK(w.judge({ann, ann}) == "401 auth.basic.repeated");
  CHECK(w.host.offload().pieces() == 0);
}

TEST_CASE("with a full pool nobody is called unknown") {
  Basic w;
  REQUIRE(w.filter != nullptr);
  penstock::config::ProcessLimits limits;
  limits.plugin_work = 0;
  w.host.set_limits(limits);
  CHECK(w.judge({ann}) == "503 auth.basic.busy");
}

TEST_CASE("cache: none asks the pool each time") {
  Basic w(R"({"cache": "none"})");
  REQUIRE_MESSAGE(w.filter != nullptr, w.messages());
  CHECK(w.judge({ann}) == "app (hashed)");
  CHECK(w.judge({ann}) == "app (hashed)");
}

TEST_CASE("a hash that costs more than is allowed is an error that does not quote it") {
  Basic w(R"({"bcrypt_cost": 5})", "$2b$06$XSkM0lC2SFFM1.mByWP.MeHOGypYfZLVpUTGKlX5mAVrJMyepd3F.");
  CHECK(w.filter == nullptr);
  CHECK(w.messages().find("the password of consumer 'app'") != std::string::npos);
  CHECK(w.messages().find("XSkM0") == std::string::npos);
}

TEST_CASE("explain hashes nothing") {
  Basic w;
  REQUIRE(w.filter != nullptr);
  using Verdict = penstock::proxy::Explanation::Verdict;
  Request with(w), without(w), broken(w);
  CHECK(with.header("authorization", ann).explain(*w.filter).verdict == Verdict::depends);
  CHECK(without.explain(*w.filter).verdict == Verdict::absent);
  CHECK(broken.header("authorization", "Basic !").explain(*w.filter).verdict == Verdict::refuse);
}
