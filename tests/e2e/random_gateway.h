// Random configurations and requests from small alphabets, so that they meet often: for comparing what
// explain says with what the daemon does.
#pragma once
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace e2e {

class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  size_t below(size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(engine_); }
  bool one_in(size_t count) { return below(count) == 0; }
  const char* pick(std::initializer_list<const char*> all) { return all.begin()[below(all.size())]; }

 private:
  std::mt19937_64 engine_;
};

struct Tokens {
  std::string valid, admin, expired, forged;
};
Tokens make_tokens();  // HS256 with the key of random_configuration()

// The routes section and all it needs; listeners and the rest come from basics().
std::string random_configuration(Dice& dice, const std::string& endpoint);

struct RandomRequest {
  std::string method, host, target;
  std::vector<std::pair<std::string, std::string>> headers;
};
RandomRequest random_request(Dice& dice, const Tokens& tokens);

}  // namespace e2e
