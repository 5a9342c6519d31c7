-- What is to become of a video that is cut off or broken: 'fail' (also NULL, as all were before) or 'keep' what decodes.

ALTER TABLE jobs ADD COLUMN on_damage text;
