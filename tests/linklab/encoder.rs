//! What a live encoder makes of the bitrate that it is asked for.

use crate::link::fraction;

/// How the encoder behaves.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    /// Time in which it comes to within 1/e of a new bitrate, ms. x264 set from 3000 to 800 kbit/s made 1,041 over the
    /// next 2 s: 220 ms.
    pub lag: f64,
    /// Bytes of an IDR picture against one of the others.
    pub idr: f64,
    /// Sizes vary by so much either way.
    pub noise: f64,
    /// Pictures from IDR to IDR.
    pub interval: u64,
}

impl Model {
    /// x264 as the boards use it, 2 s between IDR pictures at 30 a second.
    pub const REAL: Self = Self { lag: 220.0, idr: 5.0, noise: 0.15, interval: 60 };
    /// Exactly what is asked for, at once.
    pub const IDEAL: Self = Self { lag: 0.0, idr: 1.0, noise: 0.0, interval: 60 };
}

#[derive(Debug)]
pub struct Encoder {
    model: Model,
    /// What it makes now, bit/s.
    rate: f64,
    pictures: u64,
    random: u64,
}

impl Encoder {
    pub fn new(model: Model, rate: f64) -> Self {
        Self { model, rate, pictures: 0, random: 7 }
    }

    /// The next picture, `period` ms after the last one, at the `asked` bit/s; its bytes, and whether it is an IDR.
    pub fn picture(&mut self, asked: f64, period: f64, forced: bool) -> (u64, bool) {
        let model = self.model;
        self.rate += (asked - self.rate) * if model.lag > 0.0 { 1.0 - (-period / model.lag).exp() } else { 1.0 };
        if forced {
            self.pictures = 0;
        }
        let idr = self.pictures.is_multiple_of(model.interval);
        self.pictures += 1;
        let interval = model.interval as f64;
        let weight = if idr { model.idr } else { 1.0 } * interval / (interval - 1.0 + model.idr);
        let noise = 1.0 + model.noise * (2.0 * fraction(&mut self.random) - 1.0);
        ((self.rate * period / 8e3 * weight * noise).round().max(60.0) as u64, idr)
    }
}

#[test]
fn x264s_lag_is_the_measured_one() {
    let mut encoder = Encoder::new(Model { noise: 0.0, ..Model::REAL }, 3e6);
    encoder.picture(3e6, 1e3 / 30.0, false);
    // Without the IDR at the end of the interval.
    let bytes: u64 = (0..59).map(|_| encoder.picture(8e5, 1e3 / 30.0, false).0).sum();
    let (mean, without_idr) = (bytes as f64 * 8.0 / (59.0 / 30.0), 60.0 / 64.0);
    assert!((mean / without_idr - 1.041e6).abs() < 5e4, "{mean}");
}
