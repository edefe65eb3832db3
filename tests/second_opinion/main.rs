//! Our reading of a message beside that of `rsip`, which shares no author with it.

mod law;

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn what_we_accept_rsip_reads_alike(bytes in vec(any::<u8>(), 0..160)) {
        law::fuzz_second_opinion(&bytes);
    }
}
