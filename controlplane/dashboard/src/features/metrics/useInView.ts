/** Whether an element has come near the screen; panels below the fold wait with their queries. */

import { type RefObject, useEffect, useState } from "react";

export function useInView(ref: RefObject<HTMLElement | null>): boolean {
	const [near, setNear] = useState(false);
	useEffect(() => {
		const node = ref.current;
		if (!node) return;
		if (typeof IntersectionObserver === "undefined") {
			setNear(true);
			return;
		}
		const observer = new IntersectionObserver(([entry]) => setNear(entry?.isIntersecting ?? false), {
			rootMargin: "240px",
		});
		observer.observe(node);
		return () => observer.disconnect();
	}, [ref]);
	return near;
}
