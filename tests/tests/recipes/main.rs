//! Recipes of an operator's over the whole system: broken at each of their steps and again while that is undone,
//! they leave the world as it was; what they are told stays one argument, and what others could have written is no
//! recipe; what floods, forks or never ends is bounded; and the shipped ones do what they say.

mod bounded;
mod broken;
mod scene;
mod shipped;
mod told;
mod trusted;
