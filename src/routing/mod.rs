//! routing

pub mod dial_plan;
pub mod manipulation;
pub mod number;
pub mod prefix_map;
pub mod schedule;
