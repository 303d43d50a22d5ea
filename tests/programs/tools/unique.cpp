// A good plugin, built without what penstock_add_plugin does.
#include <penstock_plugin.hpp>

template <class T>
struct counted {
  static inline int made = 0;
};

struct Unique {
  static constexpr std::string_view type = "unique", version = "1.0.0";
  void on_response_headers(gw::response) { ++counted<Unique>::made; }
};
GW_PLUGIN(Unique)
